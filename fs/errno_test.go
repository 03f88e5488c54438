package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"ftpfs/conn"
)

func TestErrno(t *testing.T) {
	reply := func(verb string, code int, text string) error {
		return fmt.Errorf("wrapped: %w", conn.ReplyError(verb, "/d/f", code, text))
	}
	for _, c := range []struct {
		err    error
		want   syscall.Errno
		warned bool
	}{
		{nil, 0, false},
		{reply("RETR", 550, "/d/f: No such file or directory"), syscall.ENOENT, false},
		{reply("RETR", 550, "/d/f: Permission denied"), syscall.EACCES, false},
		{reply("RMD", 550, "/d/f: Directory not empty"), syscall.ENOTEMPTY, false},
		{reply("MKD", 550, "/d/f: File exists"), syscall.EEXIST, false},
		{reply("STOR", 552, "/d/f: Disk quota exceeded"), syscall.EDQUOT, false},
		{reply("STOR", 452, "insufficient space"), syscall.ENOSPC, false},
		{reply("SITE CHMOD", 500, "not understood"), syscall.EOPNOTSUPP, false},
		{&conn.Error{Op: "DELE", Err: conn.ErrIsDir}, syscall.EISDIR, false},
		{&conn.Error{Op: "CWD", Err: conn.ErrNotDir}, syscall.ENOTDIR, false},
		{&conn.Error{Op: "MFMT", Err: conn.ErrNotOwner}, syscall.EPERM, false},
		{conn.CheckName(strings.Repeat("x", 256)), syscall.ENAMETOOLONG, false},
		{conn.CheckName("a\nb"), syscall.EINVAL, false},
		{&conn.Error{Err: conn.ErrReadOnly}, syscall.EROFS, false},
		{&conn.Error{Err: conn.ErrBusy}, syscall.EBUSY, false},
		{&conn.Error{Err: conn.ErrLoop}, syscall.ELOOP, false},
		{&conn.Error{Err: conn.ErrCrossDevice}, syscall.EXDEV, false},
		{&conn.Error{Err: conn.ErrConflict}, syscall.ESTALE, false},
		{&conn.Error{Err: conn.ErrTooMany}, syscall.EAGAIN, false},
		{&conn.Error{Err: conn.ErrTimeout}, syscall.ETIMEDOUT, false},
		{&conn.Error{Err: conn.ErrHostDown}, syscall.EHOSTDOWN, false},
		{&conn.Error{Err: conn.ErrShortStore}, syscall.EIO, false},
		{&conn.Error{Err: io.ErrUnexpectedEOF}, syscall.EIO, false},
		{&conn.Error{Op: "RMD", Err: &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}}, syscall.EIO, false},
		{context.Canceled, syscall.EINTR, false},
		{context.DeadlineExceeded, syscall.ETIMEDOUT, false},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, syscall.ETIMEDOUT, false},
		{&iofs.PathError{Op: "write", Err: syscall.ENOSPC}, syscall.ENOSPC, false},
		{errors.New("what nobody thought of"), syscall.EIO, true},
		{syscall.ENOSYS, syscall.EOPNOTSUPP, false}, // never ENOSYS: the kernel would not ask again
	} {
		var log strings.Builder
		got := errno(slog.New(slog.NewTextHandler(&log, nil)), "op", c.err)
		if got != c.want {
			t.Errorf("errno(%v) = %v, want %v", c.err, got, c.want)
		}
		if warned := strings.Contains(log.String(), "level=WARN"); warned != c.warned {
			t.Errorf("errno(%v) logged %q", c.err, log.String())
		}
	}
}
