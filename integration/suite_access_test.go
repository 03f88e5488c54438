//go:build linux

package integration

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// accessCases are what the server refuses its unprivileged user. The local
// control runs as root, which nothing is refused.
func accessCases() []conformanceCase {
	return []conformanceCase{
		{name: "readonly-folder", prepare: readonlyFolder, run: refusedFolder, remote: true},
		{name: "unreadable", prepare: unreadable, run: refusedReads, remote: true},
		{name: "foreign-file", prepare: foreignFile, run: refusedWrites, remote: true},
	}
}

func readonlyFolder(t testing.TB, served string) {
	must(t, os.MkdirAll(served+"/ro/sub", 0o755))
	must(t, os.WriteFile(served+"/ro/f", []byte("theirs"), 0o644))
}

// A folder of another owner: a shell sees the refusal when it opens.
func refusedFolder(t testing.TB, e env) {
	for _, script := range []string{": > ro/x", "echo x > ro/x", "cp ro/f ro/g", "mkdir ro/d", "rm -f ro/f", "rmdir ro/sub", "mv ro/f ro/g", "touch ro/new"} {
		shFails(t, e.Dir, script)
	}
	f, err := os.OpenFile(e.path("ro/x"), os.O_WRONLY|os.O_CREATE, 0o644)
	wantErrno(t, err, syscall.EACCES)
	f.Close()
	wantErrno(t, os.Mkdir(e.path("ro/d"), 0o755), syscall.EACCES)
	wantErrno(t, os.Remove(e.path("ro/f")), syscall.EACCES)
	wantErrno(t, os.Rename(e.path("ro/f"), e.path("ro/g")), syscall.EACCES)
	wantErrno(t, os.Rename(e.path("ro/f"), e.path("g")), syscall.EACCES)
	e.Holds(t, "ro/f", []byte("theirs"))
	equal(t, "folder", sh(t, e.Dir, "find ro | sort"), "ro\nro/f\nro/sub")
	sh(t, e.Dir, "echo mine > f")
	e.Holds(t, "f", []byte("mine\n"))
	e.Same(t)
}

func unreadable(t testing.TB, served string) {
	must(t, os.WriteFile(served+"/secret", []byte("secret"), 0o600))
	must(t, os.MkdirAll(served+"/closed/sub", 0o700))
	must(t, os.Chmod(served+"/closed", 0o700))
	put(t, served+"/open", []byte("open"))
}

func refusedReads(t testing.TB, e env) {
	wantErrno(t, errOf(os.ReadFile(e.path("secret"))), syscall.EACCES)
	shFails(t, e.Dir, "cat secret")
	equal(t, "size", sh(t, e.Dir, "stat -c %s secret"), "6")
	wantErrno(t, errOf(os.ReadDir(e.path("closed"))), syscall.EACCES)
	shFails(t, e.Dir, "ls closed")
	wantErrno(t, errOf(os.Lstat(e.path("closed/sub"))), syscall.EACCES)
	wantErrno(t, os.WriteFile(e.path("closed/new"), nil, 0o644), syscall.EACCES)
	equal(t, "the others", sh(t, e.Dir, "cat open"), "open")
}

func foreignFile(t testing.TB, served string) {
	must(t, os.WriteFile(served+"/theirs", []byte("theirs"), 0o644))
	must(t, os.WriteFile(served+"/appended", []byte("theirs"), 0o644))
}

// A file of another owner in a folder of ours: it is refused somewhere
// between open and close, and the file shows the server's content again.
func refusedWrites(t testing.TB, e env) {
	write := func(name string, flags int) error {
		f, err := os.OpenFile(e.path(name), flags, 0o644)
		if err != nil {
			return err
		}
		if _, err := f.WriteString("ours"); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	}
	wantErrno(t, write("theirs", os.O_WRONLY|os.O_TRUNC), syscall.EACCES, syscall.EPERM)
	wantErrno(t, write("appended", os.O_WRONLY|os.O_APPEND), syscall.EACCES, syscall.EPERM)
	shFails(t, e.Dir, "cp /etc/hostname theirs")
	for _, name := range []string{"theirs", "appended"} {
		equal(t, "on the server", sh(t, e.Served, "cat "+name), "theirs")
		eventually(t, 5*time.Second, func() error { return holds(e.path(name), []byte("theirs")) })
	}
	wantErrno(t, os.Chmod(e.path("theirs"), 0o600), syscall.EPERM, syscall.EACCES)
	// The folder is ours, so the name can go.
	must(t, os.Remove(e.path("theirs")))
	e.Gone(t, "theirs")
}
