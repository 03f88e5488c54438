package fs

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"

	"ftpfs/conn"
)

// errnos says what each error of the rooms below means to a program. The
// first that matches counts.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{conn.ErrNotEmpty, syscall.ENOTEMPTY},
	{conn.ErrIsDir, syscall.EISDIR},
	{conn.ErrNotDir, syscall.ENOTDIR},
	{conn.ErrNotOwner, syscall.EPERM},
	{conn.ErrNoSpace, syscall.ENOSPC},
	{conn.ErrQuota, syscall.EDQUOT},
	{conn.ErrNameTooLong, syscall.ENAMETOOLONG},
	{conn.ErrInvalidName, syscall.EINVAL},
	{conn.ErrEncoding, syscall.EILSEQ},
	{conn.ErrReadOnly, syscall.EROFS},
	{conn.ErrBusy, syscall.EBUSY},
	{conn.ErrLoop, syscall.ELOOP},
	{conn.ErrCrossDevice, syscall.EXDEV},
	{conn.ErrOffset, syscall.EINVAL},
	{conn.ErrConflict, syscall.ESTALE},
	{conn.ErrTooMany, syscall.EAGAIN},
	{conn.ErrLogin, syscall.EACCES},
	{conn.ErrNeedTLS, syscall.EACCES},
	{conn.ErrNoTLS, syscall.EACCES},
	{conn.ErrCertificate, syscall.EACCES},
	{conn.ErrResumption, syscall.EIO},
	{iofs.ErrNotExist, syscall.ENOENT},
	{iofs.ErrExist, syscall.EEXIST},
	{iofs.ErrPermission, syscall.EACCES},
	{errors.ErrUnsupported, syscall.EOPNOTSUPP},
	{conn.ErrTimeout, syscall.ETIMEDOUT},
	{os.ErrDeadlineExceeded, syscall.ETIMEDOUT},
	{context.DeadlineExceeded, syscall.ETIMEDOUT},
	{context.Canceled, syscall.EINTR},
	{conn.ErrHostDown, syscall.EHOSTDOWN},
	{conn.ErrShortStore, syscall.EIO},
	{conn.ErrProtocol, syscall.EIO},
	{io.ErrUnexpectedEOF, syscall.EIO},
	{net.ErrClosed, syscall.EIO},
}

// errno returns what a program is told of err. An error that nobody has
// thought of is EIO and a line in the log.
func errno(log *slog.Logger, op string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			log.Debug("refused", "op", op, "error", err, "errno", e.errno)
			return e.errno
		}
	}
	var remote *conn.Error // the errno of a socket would mean nothing to a program
	var e syscall.Errno    // of the local disk
	if !errors.As(err, &remote) && errors.As(err, &e) {
		return e
	}
	if remote == nil {
		log.Warn("a call failed", "op", op, "error", err)
	} else {
		log.Info("a call failed", "op", op, "error", err)
	}
	return syscall.EIO
}
