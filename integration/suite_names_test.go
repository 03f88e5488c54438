//go:build linux

package integration

import (
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// nameCases are about what files can be called.
func nameCases() []conformanceCase {
	cases := []conformanceCase{
		{name: "names-long", run: longNames},
		{name: "names-refused", run: refusedNames, remote: true},
		{name: "names-told", run: namesTold},
		{name: "deep", run: deepPaths},
	}
	sets := nameSets()
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		names := sets[set]
		cases = append(cases,
			conformanceCase{name: set, run: func(t testing.TB, e env) { namesMade(t, e, names) }},
			conformanceCase{
				name:    set + "-listed",
				prepare: func(t testing.TB, served string) { putNames(t, served, names) },
				run:     func(t testing.TB, e env) { namesListed(t, e, names) },
			})
	}
	return cases
}

// nameSets are names that are legal on a Unix server and hard on an FTP
// client: those that every server takes, and those that some do not.
func nameSets() map[string][]string {
	return map[string][]string{
		"names": {
			"with space", "two  spaces", " leading", "ünï cödé 日本語 🙂", "e\u0301 decomposed",
			`quote'd "twice"`, "what?", "[a-z]", "{a,b}", "-dash", "--", "-rf", "arrow -> target",
			"100%25", "#hash", "~tilde", "$dollar", "semi;colon", "colon:", "a&b|c<d>e", "!bang", "...", ".dot", "@", "(paren)",
			"drwxr-xr-x 2 0 0 4096 Jan 01 00:00 fake", "Type=dir; fake", "total 0", strings.Repeat("n", 200),
		},
		"names-star":      {"star*", "*"},
		"names-end-space": {"trailing ", "two  "},
		"names-control":   {"tab\tinside", "escape\x1b[1m", "\x01"},
		"names-backslash": {`back\slash`, `\`},
		"names-latin1":    {"caf\xe9"},
		"names-ff":        {"\xff", "a\xff\xffb", "\xff\xf4", "\xffy"}, // a Telnet command, for some servers
	}
}

// putNames puts a file, and a folder with a file, of each name on the server.
func putNames(t testing.TB, served string, names []string) {
	for i, name := range names {
		put(t, served+"/"+name, randomBytes(uint64(i), i))
		putDir(t, served+"/folder "+name)
		put(t, served+"/folder "+name+"/"+name, []byte(name))
	}
}

func namesMade(t testing.TB, e env, names []string) {
	for _, name := range names {
		content := []byte("in " + name)
		must(t, os.WriteFile(e.path(name), content, 0o644))
		e.Holds(t, name, content)
		must(t, os.Rename(e.path(name), e.path("moved")))
		must(t, os.Rename(e.path("moved"), e.path("2"+name)))
		must(t, os.Mkdir(e.path(name), 0o755))
		must(t, os.Rename(e.path("2"+name), e.path(name+"/"+name)))
		e.Holds(t, name+"/"+name, content)
	}
	e.Same(t)
	for _, name := range names {
		must(t, os.RemoveAll(e.path(name)))
		e.Gone(t, name)
	}
}

func namesListed(t testing.TB, e env, names []string) {
	e.Same(t)
	for i, name := range names {
		e.Holds(t, name, randomBytes(uint64(i), i))
		sh(t, e.Dir, "rm -r -- "+quote("folder "+name)+"; printf more >> "+quote("./"+name))
		e.Gone(t, "folder "+name)
		e.Holds(t, name, slices.Concat(randomBytes(uint64(i), i), []byte("more")))
	}
}

// A name is taken as it is, or refused: never changed.
func namesTold(t testing.TB, e env) {
	for set, names := range nameSets() {
		for _, name := range names {
			for what, makeIt := range map[string]func() error{
				"file":   func() error { return os.WriteFile(e.path(name), []byte("x"), 0o644) },
				"folder": func() error { return os.Mkdir(e.path(name), 0o755) },
				"rename": func() error {
					must(t, os.WriteFile(e.path("x"), []byte("x"), 0o644))
					return os.Rename(e.path("x"), e.path(name))
				},
			} {
				err := makeIt()
				if err != nil {
					wantErrno(t, err, syscall.EINVAL)
					must(t, os.RemoveAll(e.path("x")))
				}
				want := []string(nil)
				if err == nil {
					want = []string{name}
				}
				for _, dir := range []string{e.Dir, e.Served} {
					if d := cmp.Diff(want, namesIn(t, dir)); d != "" {
						t.Fatalf("%s: %s %q: %v, but in %s (-want +got):\n%s", set, what, name, err, dir, d)
					}
				}
				must(t, os.RemoveAll(e.path(name)))
			}
		}
	}
}

// namesIn returns the names in a folder.
func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// quote makes a word of a shell out of any string.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func longNames(t testing.TB, e env) {
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
func refusedNames(t testing.TB, e env) {
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

func deepPaths(t testing.TB, e env) {
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
