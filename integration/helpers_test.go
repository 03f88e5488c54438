//go:build linux

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErrno fails the test unless err is one of the errnos.
func wantErrno(t testing.TB, err error, wanted ...syscall.Errno) {
	t.Helper()
	for _, w := range wanted {
		if errors.Is(err, w) {
			return
		}
	}
	t.Errorf("got %v, want one of %q", err, wanted)
}

// equal fails the test unless got is want.
func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// eventually ends the test unless ok returns nil before the limit.
func eventually(t testing.TB, limit time.Duration, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %v", limit, err)
}

// command runs a program in dir with a limit of two minutes and returns what it
// wrote. The locale and the time zone are fixed.
func command(dir, name string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // git on pyftpdlib takes half of one on a quiet machine
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// sh runs a shell script in dir, which must succeed, and returns its output
// without the last newline.
func sh(t testing.TB, dir, script string) string {
	t.Helper()
	out, errs, err := command(dir, "bash", "-euo", "pipefail", "-c", script)
	if err != nil {
		t.Fatalf("%s\n%v: %s%s", script, err, out, errs)
	}
	return strings.TrimSuffix(out, "\n")
}

// shFails runs a shell script in dir, which must exit with a status other
// than 0, and returns what it wrote to standard error.
func shFails(t testing.TB, dir, script string) string {
	t.Helper()
	out, errs, err := command(dir, "bash", "-c", script)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() <= 0 {
		t.Fatalf("%s\ndid not fail: %v: %s%s", script, err, out, errs)
	}
	return errs
}

// sum returns the SHA-256 of a file, or the error of reading it.
func sum(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err.Error()
	}
	return hex.EncodeToString(h.Sum(nil))
}

// randomBytes returns n bytes that depend on the seed only.
func randomBytes(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

// tailOf returns the last n bytes of a file.
func tailOf(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-n):])
}
