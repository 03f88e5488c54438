//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// suite is what TestMain prepares once and every test reads.
type suite struct {
	dir       string // the run's folder; everything that the run makes lies below it
	binary    string // ftpfs, built with -race
	proftpd   string
	vsftpd    string
	pureftpd  string
	inetutils string
	pyftpdlib string // the folder that has the package
	python    string // what runs it
	launcher  string // this test binary, for the roles below
	sources   func() error
	found     *findings // for the table in the README
}

// the is set by TestMain before any test runs and never changed.
var the suite

// roles are the other things that the test binary does when it is started by
// itself: the name is the first argument.
var roles = map[string]func(args []string) int{
	"@janitor": janitor,
	"@server":  runServer,
	"@load":    crashLoad,
	"@posix":   posixCase,
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			os.Exit(role(os.Args[2:]))
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ftpfs-integration-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // the servers' unprivileged user walks through it
	}
	if err != nil {
		return complain(err)
	}
	stop, err := startJanitor(dir)
	if err != nil {
		return complain(err, os.RemoveAll(dir))
	}
	code := 1
	if the, err = prepare(dir); err != nil {
		complain(err)
	} else {
		code = m.Run()
		if code == 0 {
			if err := checkReadme(the.found); err != nil {
				code = complain(err)
			}
		}
	}
	if err := stop(); err != nil {
		return complain(err)
	}
	return code
}

func complain(errs ...error) int {
	for _, err := range errs {
		if err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
		}
	}
	return 1
}

// prepare finds the servers and builds the binary. t.TempDir and every child
// process use folders of the run for what is otherwise the user's.
func prepare(dir string) (suite, error) {
	s := suite{dir: dir, binary: filepath.Join(dir, "bin", "ftpfs"), sources: sync.OnceValue(readSources),
		found: &findings{of: make(map[string]map[kind]string)}}
	if os.Getuid() != 0 {
		return s, fmt.Errorf("the integration tests need root: to mount, and for servers with users of their own")
	}
	var err error
	if s.launcher, err = os.Executable(); err != nil {
		return s, err
	}
	if err = s.findServers(); err != nil {
		return s, err
	}
	build := exec.Command("go", "build", "-race", "-o", s.binary, "../cmd/ftpfs")
	if out, err := build.CombinedOutput(); err != nil {
		return s, fmt.Errorf("%v: %w\n%s", build, err, out)
	}
	// After the build, which needs the user's own.
	for variable, name := range map[string]string{"TMPDIR": "tmp", "HOME": "home", "XDG_RUNTIME_DIR": "run", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config"} {
		folder := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(folder, 0o755), os.Setenv(variable, folder)); err != nil {
			return s, err
		}
	}
	// A program with the race detector sleeps a second before it exits.
	return s, os.Setenv("GORACE", "atexit_sleep_ms=20")
}

// program returns the path of ftpfs for a test that runs it.
func (s suite) program(t *testing.T) string {
	t.Helper()
	must(t, s.sources())
	return s.binary
}

// readSources opens the Go files of the module. Results depend on them by way
// of the binary only; go test's cache of results knows the files that a test
// opened.
func readSources() error {
	return filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != ".." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case filepath.Ext(p) == ".go" || d.Name() == "go.mod":
			_, err = os.ReadFile(p)
		}
		return err
	})
}

// findServers fills in where the servers are.
func (s *suite) findServers() error {
	unpacked, err := filepath.Abs("../.cache/servers")
	if err != nil {
		return err
	}
	const packages = "/usr/lib/python3/dist-packages/pyftpdlib/__init__.py"
	for _, f := range []struct {
		path     *string
		variable string
		places   []string
	}{
		{&s.proftpd, "FTPFS_TEST_PROFTPD", []string{"/usr/sbin/proftpd"}},
		{&s.vsftpd, "FTPFS_TEST_VSFTPD", []string{unpacked + "/vsftpd/usr/sbin/vsftpd", "/usr/sbin/vsftpd"}},
		{&s.pureftpd, "FTPFS_TEST_PUREFTPD", []string{unpacked + "/pure-ftpd/usr/sbin/pure-ftpd", "/usr/sbin/pure-ftpd"}},
		{&s.inetutils, "FTPFS_TEST_INETUTILS", []string{unpacked + "/inetutils-ftpd/usr/sbin/ftpd", "/usr/sbin/ftpd"}},
		{&s.pyftpdlib, "FTPFS_TEST_PYFTPDLIB", []string{unpacked + "/python3-pyftpdlib" + packages, packages}},
		{&s.python, "FTPFS_TEST_PYTHON", []string{"/usr/bin/python3"}},
	} {
		if *f.path, err = findServer(f.variable, f.places...); err != nil {
			return err
		}
	}
	s.pyftpdlib = filepath.Dir(filepath.Dir(s.pyftpdlib)) // what goes into sys.path
	return nil
}

// findServer returns the file that the environment variable names, else the
// first of the usual places that exists.
func findServer(variable string, places ...string) (string, error) {
	if p := os.Getenv(variable); p != "" {
		places = []string{p}
	}
	for _, p := range places {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p, nil
		}
	}
	return "", fmt.Errorf("no FTP server at %q: run scripts/test-deps.sh or set %s", places, variable)
}
