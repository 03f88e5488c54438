//go:build linux

package integration

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// errnoCases are the errors that programs look at.
func errnoCases() []conformanceCase {
	return []conformanceCase{
		{name: "errno-open", run: errnoOpen},
		{name: "errno-names", run: errnoNames},
		{name: "errno-rename", run: errnoRename},
		{name: "errno-links", run: errnoLinks, remote: true},
		{name: "errno-exchange", run: errnoExchange, remote: true},
	}
}

// errOf drops the value of a call.
func errOf[T any](_ T, err error) error { return err }

func errnoOpen(t testing.TB, e env) {
	f, dir := e.path("f"), e.path("dir")
	must(t, os.WriteFile(f, []byte("x"), 0o644))
	must(t, os.Mkdir(dir, 0o755))
	open := func(path string, flags int) error {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	wantErrno(t, open(f, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY), syscall.EEXIST)
	wantErrno(t, open(dir, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY), syscall.EEXIST)
	wantErrno(t, open(e.path("missing"), unix.O_RDONLY), syscall.ENOENT)
	wantErrno(t, open(e.path("missing"), unix.O_WRONLY|unix.O_TRUNC), syscall.ENOENT)
	wantErrno(t, open(e.path("missing/f"), unix.O_CREAT|unix.O_WRONLY), syscall.ENOENT)
	wantErrno(t, open(f+"/below", unix.O_RDONLY), syscall.ENOTDIR)
	wantErrno(t, open(f+"/below", unix.O_CREAT|unix.O_WRONLY), syscall.ENOTDIR)
	wantErrno(t, open(f, unix.O_RDONLY|unix.O_DIRECTORY), syscall.ENOTDIR)
	wantErrno(t, open(dir, unix.O_WRONLY), syscall.EISDIR)
	wantErrno(t, errOf(os.ReadFile(dir)), syscall.EISDIR)
	e.Holds(t, "f", []byte("x"))
}

func errnoNames(t testing.TB, e env) {
	f, dir := e.path("f"), e.path("dir")
	must(t, os.WriteFile(f, []byte("x"), 0o644))
	must(t, os.MkdirAll(dir+"/sub", 0o755))
	wantErrno(t, errOf(os.Lstat(e.path("missing"))), syscall.ENOENT)
	wantErrno(t, errOf(os.Lstat(f+"/below")), syscall.ENOTDIR)
	wantErrno(t, unix.Mkdir(dir, 0o755), syscall.EEXIST)
	wantErrno(t, unix.Mkdir(f, 0o755), syscall.EEXIST)
	wantErrno(t, unix.Mkdir(e.path("missing/dir"), 0o755), syscall.ENOENT)
	wantErrno(t, unix.Mkdir(f+"/below", 0o755), syscall.ENOTDIR)
	wantErrno(t, unix.Unlink(dir), syscall.EISDIR, syscall.EPERM)
	wantErrno(t, unix.Unlink(e.path("missing")), syscall.ENOENT)
	wantErrno(t, unix.Rmdir(dir), syscall.ENOTEMPTY, syscall.EEXIST)
	wantErrno(t, unix.Rmdir(f), syscall.ENOTDIR)
	wantErrno(t, unix.Rmdir(e.path("missing")), syscall.ENOENT)
	wantErrno(t, unix.Chmod(e.path("missing"), 0o600), syscall.ENOENT)
	wantErrno(t, unix.Truncate(e.path("missing"), 1), syscall.ENOENT)
	wantErrno(t, unix.Truncate(dir, 1), syscall.EISDIR)
	wantErrno(t, errOf(os.Readlink(f)), syscall.EINVAL)
	e.Holds(t, "f", []byte("x"))
	e.Same(t)
}

func errnoRename(t testing.TB, e env) {
	f, g, dir, full := e.path("f"), e.path("g"), e.path("dir"), e.path("full")
	must(t, os.WriteFile(f, []byte("f"), 0o644))
	must(t, os.WriteFile(g, []byte("g"), 0o644))
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.MkdirAll(full+"/sub", 0o755))
	rename := func(from, to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
	}
	wantErrno(t, rename(e.path("missing"), f, 0), syscall.ENOENT)
	wantErrno(t, rename(f, e.path("missing/f"), 0), syscall.ENOENT)
	wantErrno(t, rename(f, g+"/f", 0), syscall.ENOTDIR)
	wantErrno(t, rename(f, dir, 0), syscall.EISDIR)
	wantErrno(t, rename(dir, f, 0), syscall.ENOTDIR)
	wantErrno(t, rename(dir, full, 0), syscall.ENOTEMPTY, syscall.EEXIST)
	wantErrno(t, rename(full, full+"/sub/below", 0), syscall.EINVAL)
	wantErrno(t, rename(f, g, unix.RENAME_NOREPLACE), syscall.EEXIST)
	wantErrno(t, rename(dir, full, unix.RENAME_NOREPLACE), syscall.EEXIST)
	e.Holds(t, "f", []byte("f"))
	e.Holds(t, "g", []byte("g"))
	must(t, rename(f, e.path("h"), unix.RENAME_NOREPLACE))
	must(t, rename(full, dir, 0))
	e.Holds(t, "h", []byte("f"))
	e.Gone(t, "full")
	must(t, rename(g, g, 0))
	e.Same(t)
}

// FTP has no hard links and no device nodes; programs fall back at these.
func errnoLinks(t testing.TB, e env) {
	f := e.path("f")
	must(t, os.WriteFile(f, []byte("x"), 0o644))
	wantErrno(t, os.Link(f, e.path("hard")), syscall.EPERM, syscall.EOPNOTSUPP)
	wantErrno(t, unix.Mknod(e.path("fifo"), unix.S_IFIFO|0o644, 0), syscall.EPERM)
	wantErrno(t, unix.Mknod(e.path("null"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))), syscall.EPERM)
	wantErrno(t, unix.Mknod(e.path("socket"), unix.S_IFSOCK|0o644, 0), syscall.EPERM)
	must(t, unix.Mknod(e.path("regular"), unix.S_IFREG|0o644, 0))
	e.HoldsSoon(t, "regular", nil)
	wantErrno(t, errOf(unix.Getxattr(f, "user.x", nil)), syscall.ENODATA, syscall.EOPNOTSUPP)
	wantErrno(t, unix.Setxattr(f, "user.x", []byte("1"), 0), syscall.EOPNOTSUPP)
	e.Same(t)
}

func errnoExchange(t testing.TB, e env) {
	f, g := e.path("f"), e.path("g")
	must(t, os.WriteFile(f, []byte("f"), 0o644))
	must(t, os.WriteFile(g, []byte("g"), 0o644))
	for _, flag := range []uint{unix.RENAME_EXCHANGE, unix.RENAME_WHITEOUT} {
		wantErrno(t, unix.Renameat2(unix.AT_FDCWD, f, unix.AT_FDCWD, g, flag), syscall.EINVAL)
	}
	e.Holds(t, "f", []byte("f"))
	e.Holds(t, "g", []byte("g"))
}
