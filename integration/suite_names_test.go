//go:build linux

package integration

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nameCases are about what files can be called.
func nameCases() []conformanceCase {
	return []conformanceCase{
		{name: "names", run: oddNames},
		{name: "names-listed", prepare: func(t *testing.T, served string) {
			for i, name := range names() {
				put(t, served+"/"+name, randomBytes(uint64(i), i))
				putDir(t, served+"/folder "+name)
				put(t, served+"/folder "+name+"/"+name, []byte(name))
			}
		}, run: oddNamesListed},
		{name: "names-long", run: longNames},
		{name: "names-refused", run: refusedNames, remote: true},
		{name: "deep", run: deepPaths},
	}
}

// names are legal on a Unix server and hard on an FTP client.
func names() []string {
	return []string{
		"with space", "two  spaces", " leading", "trailing ", "tab\tinside", "ünï cödé 日本語 🙂", "e\u0301 decomposed",
		`quote'd "twice"`, "star*", "what?", "[a-z]", "{a,b}", "-dash", "--", "-rf", `back\slash`, "arrow -> target",
		"100%25", "#hash", "~tilde", "$dollar", "semi;colon", "colon:", "a&b|c<d>e", "!bang", "...", ".dot", "@", "(paren)",
		"drwxr-xr-x 2 0 0 4096 Jan 01 00:00 fake", "Type=dir; fake", "total 0", strings.Repeat("n", 200),
	}
}

func oddNames(t *testing.T, e env) {
	for _, name := range names() {
		content := []byte("in " + name)
		must(t, os.WriteFile(e.path(name), content, 0o644))
		e.Holds(t, name, content)
		must(t, os.Rename(e.path(name), e.path("moved")))
		must(t, os.Rename(e.path("moved"), e.path("2"+name)))
		err := os.Mkdir(e.path(name), 0o755)
		if err != nil && e.Remote && strings.Contains(name, "*") {
			wantErrno(t, err, syscall.EINVAL) // ProFTPD refuses "*" in MKD, and there alone
			must(t, os.Remove(e.path("2"+name)))
			continue
		}
		must(t, err)
		must(t, os.Rename(e.path("2"+name), e.path(name+"/"+name)))
		e.Holds(t, name+"/"+name, content)
	}
	e.Same(t)
	for _, name := range names() {
		must(t, os.RemoveAll(e.path(name)))
		e.Gone(t, name)
	}
}

func oddNamesListed(t *testing.T, e env) {
	e.Same(t)
	for i, name := range names() {
		e.Holds(t, name, randomBytes(uint64(i), i))
		sh(t, e.Dir, "rm -r -- "+quote("folder "+name)+"; printf more >> "+quote("./"+name))
		e.Gone(t, "folder "+name)
		e.Holds(t, name, slices.Concat(randomBytes(uint64(i), i), []byte("more")))
	}
}

// quote makes a word of a shell out of any string.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func longNames(t *testing.T, e env) {
	for _, name := range []string{strings.Repeat("x", 255), strings.Repeat("é", 127) + "e"} {
		must(t, os.WriteFile(e.path(name), []byte("long"), 0o644))
		e.Holds(t, name, []byte("long"))
		must(t, os.WriteFile(e.path(name), []byte("longer"), 0o644))
		e.Holds(t, name, []byte("longer"))
	}
	tooLong := e.path(strings.Repeat("x", 256))
	wantErrno(t, os.WriteFile(tooLong, nil, 0o644), syscall.ENAMETOOLONG)
	wantErrno(t, os.Mkdir(tooLong, 0o755), syscall.ENAMETOOLONG)
	wantErrno(t, os.Rename(e.path(strings.Repeat("x", 255)), tooLong), syscall.ENAMETOOLONG)
	_, err := os.Lstat(tooLong)
	wantErrno(t, err, syscall.ENAMETOOLONG)
	e.Same(t)
}

// Names that FTP cannot carry are refused before anything is sent.
func refusedNames(t *testing.T, e env) {
	for _, name := range []string{"line\nfeed", "carriage\rreturn", "x\r\nDELE y"} {
		wantErrno(t, os.WriteFile(e.path(name), nil, 0o644), syscall.EINVAL)
		wantErrno(t, os.Mkdir(e.path(name), 0o755), syscall.EINVAL)
		must(t, os.WriteFile(e.path("y"), []byte("y"), 0o644))
		wantErrno(t, os.Rename(e.path("y"), e.path(name)), syscall.EINVAL)
		_, err := os.Lstat(e.path(name))
		wantErrno(t, err, syscall.ENOENT, syscall.EINVAL)
	}
	e.Holds(t, "y", []byte("y"))
	e.Same(t)
}

func deepPaths(t *testing.T, e env) {
	path := strings.Repeat("a-folder-of-16-b/", 60)
	must(t, os.MkdirAll(e.path(path), 0o755))
	must(t, os.WriteFile(e.path(path+"f"), []byte("deep"), 0o644))
	e.Holds(t, path+"f", []byte("deep"))
	equal(t, "find", sh(t, e.Dir, "find . | wc -l"), "62")
	// A path that is longer than PATH_MAX is reached step by step, or refused.
	dir, err := os.Open(e.Dir)
	must(t, err)
	defer func() { dir.Close() }()
	for range 20 {
		name := strings.Repeat("d", 250)
		if err := unix.Mkdirat(int(dir.Fd()), name, 0o755); err != nil {
			wantErrno(t, err, syscall.ENAMETOOLONG)
			break
		}
		fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		dir.Close()
		dir = os.NewFile(uintptr(fd), name)
	}
	sh(t, e.Dir, "echo x > after; rm -r a-folder* d*; ls")
	e.Gone(t, "a-folder-of-16-b")
	e.Same(t)
}
