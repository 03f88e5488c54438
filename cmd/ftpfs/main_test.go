package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// childEnv makes the test binary play the detached process; see detach_test.go.
const childEnv = "FTPFS_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		os.Exit(playChild(role))
	}
	goleak.VerifyTestMain(m)
}

// runCommand runs a command line without a terminal.
func runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, stdio{nil, &out, &errs})
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("FTPFS_PASSWORD", "")
	dir := t.TempDir()
	missing := dir + "/missing"
	file := dir + "/file"
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no arguments", nil, exitUsage, "a URL and a mountpoint"},
		{"secret in superfluous arguments", []string{"ftp://u:hunter2@h/", "a", "b"}, exitUsage, "3 arguments"},
		{"unknown flag", []string{"--cach-dir=x", "ftp://h/", dir}, exitUsage, "--cach-dir"},
		{"bad value", []string{"--cache-size=many", "ftp://h/", dir}, exitUsage, "--cache-size"},
		{"unknown option", []string{"-o", "cache_dri=x", "ftp://h/", dir}, exitUsage, "did you mean cache-dir"},
		{"too many connections", []string{"--max-connections=65", "ftp://h/", dir}, exitUsage, "1 to 64"},
		{"unknown scheme", []string{"gopher://u:hunter2@h/", dir}, exitUsage, "scheme"},
		{"missing mountpoint", []string{"ftp://u:hunter2@h/", missing}, exitFailure, "does not exist"},
		{"mountpoint is a file", []string{"ftp://u:hunter2@h/", file}, exitFailure, "not a directory"},
		{"mountpoint not empty", []string{"ftp://u:hunter2@h/", dir}, exitFailure, "not empty"},
		{"no password file", []string{"-o", "nonempty,password_file=" + missing, "ftp://u@h/", dir}, exitFailure, "password file"},
		{"nothing listens", []string{"-f", "--cache-dir", dir + "/cache", "-o", "nonempty", "ftp://u:hunter2@127.0.0.1:1/", dir}, exitConnect, "127.0.0.1:1"},
		{"umount of nothing", []string{"umount", dir}, exitFailure, "nothing is mounted"},
		{"status of nothing", []string{"status", dir}, exitFailure, "nothing is mounted"},
		{"flush of nothing", []string{"flush", dir}, exitFailure, "nothing is mounted"},
		{"refresh of nothing", []string{"refresh", dir}, exitFailure, "nothing is mounted"},
		{"umount without mountpoint", []string{"umount"}, exitUsage, "a mountpoint"},
		{"detached by hand", []string{"detached"}, exitUsage, "for ftpfs itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, c.args...)
			if code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("code %d, stderr %q; want %d and %q", code, stderr, c.code, c.says)
			}
			if strings.Count(stderr, "\n") != 1 || stdout != "" {
				t.Errorf("want one line on stderr and nothing on stdout, got %q and %q", stderr, stdout)
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("the password shows in %q", stderr)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	code, out, _ := runCommand(t, "--help")
	if code != exitOK || !strings.Contains(out, "Exit codes:") || strings.Contains(out, detachedCommand+" ") {
		t.Errorf("--help: code %d, %s", code, out)
	}
	code, out, _ = runCommand(t, "version")
	if code != exitOK || !strings.HasPrefix(out, "ftpfs ") || !strings.HasSuffix(out, "\n") {
		t.Errorf("version: code %d, %q", code, out)
	}
}
