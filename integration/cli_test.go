//go:build linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// outcome is how a run of ftpfs ended.
type outcome struct {
	Code           int
	Stdout, Stderr string
	Took           time.Duration
}

// ftpfs runs the binary to its end, with more environment variables.
func ftpfs(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, the.program(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("ftpfs %q: %v: %s", args, err, errs.Bytes())
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String(), time.Since(start)}
}

// mountStatus is the part of `ftpfs status --json` that the tests read.
type mountStatus struct {
	PID        int    `json:"pid"`
	URL        string `json:"url"`
	Mountpoint string `json:"mountpoint"`
	Mounted    bool   `json:"mounted"`
	Log        string `json:"log"`
	Sessions   struct {
		Open, Busy, Limit int
	} `json:"sessions"`
	Transfer struct {
		Pending  []string `json:"pending"`
		Failures []struct{ Path, Error string }
	} `json:"transfer"`
}

// statusOf asks the process behind a mountpoint.
func statusOf(t *testing.T, dir string) mountStatus {
	t.Helper()
	o := ftpfs(t, nil, "status", "--json", dir)
	var st mountStatus
	if err := json.Unmarshal([]byte(o.Stdout), &st); err != nil || o.Code != 0 {
		t.Fatalf("ftpfs status --json: %v: exit code %d: %s%s", err, o.Code, o.Stdout, o.Stderr)
	}
	return st
}

// detach mounts in the background, as users do, and returns the status.
// flags come before url. The mount is gone when the test ends.
func detach(t *testing.T, env []string, dir, url string, flags ...string) mountStatus {
	t.Helper()
	o := ftpfs(t, env, append(flags, url, dir)...)
	t.Cleanup(func() {
		if _, ok := mountedAt(dir); ok {
			umountDetached(t, dir)
		}
	})
	if o.Code != 0 || o.Stderr != "" {
		t.Fatalf("ftpfs ended with %d: %s", o.Code, o.Stderr)
	}
	if _, ok := mountedAt(dir); !ok {
		t.Fatal("ftpfs returned before the mount works")
	}
	return statusOf(t, dir)
}

// umountDetached ends a detached mount and waits for its process.
func umountDetached(t *testing.T, dir string) {
	t.Helper()
	st := statusOf(t, dir)
	if o := ftpfs(t, nil, "umount", dir); o.Code != 0 {
		t.Errorf("ftpfs umount ended with %d: %s", o.Code, o.Stderr)
	}
	if _, ok := mountedAt(dir); ok {
		t.Error("still mounted")
	}
	eventually(t, 10*time.Second, func() error {
		if running(st.PID) {
			return fmt.Errorf("process %d still lives", st.PID)
		}
		return nil
	})
	if st.Log != "" {
		checkLog(t, tailOf(st.Log, 1<<30), nil)
	}
}

// mountpoint returns a new empty folder that every user can reach.
func mountpoint(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	must(t, os.Chmod(filepath.Dir(base), 0o755))
	dir := filepath.Join(base, "mnt")
	must(t, os.Mkdir(dir, 0o755))
	return dir
}

// urlWithPassword is URL with the password in it, escaped.
func (s *server) urlWithPassword(path string) string {
	return strings.Replace(s.URL(path), ftpUser+"@", ftpUser+":"+escapedPassword+"@", 1)
}

// escapedPassword is ftpPassword as a URL needs it.
const escapedPassword = "s3cr%3At%40p%2Fss%25"
