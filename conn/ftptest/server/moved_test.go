package server

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Errors of the disk and of the network must not be mixed up: the first are
// the server's trouble, the second the client's.
func TestMoved(t *testing.T) {
	disk := func(e syscall.Errno) error { return &fs.PathError{Op: "write", Path: "f", Err: e} }
	for _, tc := range []struct {
		err  error
		want Reply
	}{
		{nil, Reply{Code: 226, Text: "Transfer complete"}},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, Reply{Code: 426, Text: "Transfer aborted. Data connection closed"}},
		{net.ErrClosed, Reply{Code: 426, Text: "Transfer aborted. Data connection closed"}},
		{disk(syscall.ENOSPC), Reply{Code: 452, Text: "Transfer aborted. No space left on device"}},
		{disk(syscall.EDQUOT), Reply{Code: 552, Text: "Transfer aborted. Disk quota exceeded"}},
		{disk(syscall.EFBIG), Reply{Code: 552, Text: "Transfer aborted. File too large"}},
		{disk(syscall.EIO), Reply{Code: 451, Text: "Transfer aborted. Input/output error"}},
	} {
		if got := moved(tc.err); got != tc.want {
			t.Errorf("%v: got %+v, want %+v", tc.err, got, tc.want)
		}
	}
}

func TestListOtherTypes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := typeFact(item{name: "pipe", info: fi}); got != "file" {
		t.Errorf("type %q, want file", got)
	}
	for mode, want := range map[fs.FileMode]string{
		fs.ModeNamedPipe | 0o644:                  "prw-r--r--",
		fs.ModeDevice | 0o660:                     "brw-rw----",
		fs.ModeDevice | fs.ModeCharDevice | 0o666: "crw-rw-rw-",
		fs.ModeSocket | 0o700:                     "srwx------",
		fs.ModeDir | fs.ModeSticky | 0o777:        "drwxrwxrwt",
		fs.ModeDir | fs.ModeSetgid | 0o750:        "drwxr-s---",
		fs.ModeSetuid | fs.ModeSetgid | 0o755:     "-rwsr-sr-x",
		fs.ModeSetuid | fs.ModeSticky | 0o644:     "-rwSr--r-T",
	} {
		if got := lsMode(mode); got != want {
			t.Errorf("%v: got %q, want %q", mode, got, want)
		}
	}
}
