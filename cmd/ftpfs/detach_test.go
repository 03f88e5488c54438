package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpfs/conn"

	"github.com/google/go-cmp/cmp"
)

// playChild is the test binary in the place of a detached process.
func playChild(role string) int {
	s, report, err := inherited()
	if err != nil {
		return 100
	}
	switch role {
	case "ready":
		// What the starter passed comes back as notices.
		report.notice("password " + s.Server.Password)
		report.notice("argv " + strings.Join(os.Args[1:], " "))
		report.notice("env " + os.Getenv(passwordEnv))
		if wd, err := os.Getwd(); err == nil {
			report.notice("cwd " + wd)
		}
		if sid, err := syscall.Getpgid(0); err == nil && sid == os.Getpid() {
			report.notice("leads its session")
		}
		if report.ready() != nil {
			return 101
		}
	case "refused":
		report.fail(&exitError{code: exitConnect, text: "login refused"})
		return exitConnect
	case "silent":
		os.Stderr.WriteString("crash\n")
		return 102
	case "slow":
		stop := newStopper(context.Background())
		defer stop.watch(func() {})()
		report.notice("waiting")
		<-stop.stopping.Done()
		report.fail(failf("interrupted"))
		return exitFailure
	}
	return 0
}

// detachAs starts the test binary in a role and returns what it said.
func detachAs(ctx context.Context, t *testing.T, role string, notice func(string)) (s *settings, err error) {
	t.Helper()
	t.Setenv(passwordEnv, "from the environment")
	cfg, err := conn.ParseURL("ftp://me:hunter2@h/")
	if err != nil {
		t.Fatal(err)
	}
	s = defaultSettings()
	s.Server, s.Mountpoint, s.LogFile = portableConfig{Config: cfg}, "/mnt/x", filepath.Join(t.TempDir(), "log")
	d, err := newDetacher(s)
	if err != nil {
		t.Fatal(err)
	}
	d.exe = os.Args[0]
	d.env = append(d.env, childEnv+"="+role)
	return s, d.start(ctx, s, notice)
}

func TestDetachReady(t *testing.T) {
	var got []string
	if _, err := detachAs(t.Context(), t, "ready", func(line string) { got = append(got, line) }); err != nil {
		t.Fatal(err)
	}
	want := []string{"password hunter2", "argv detached ftp://me@h/ /mnt/x", "env ", "cwd /", "leads its session"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDetachRefused(t *testing.T) {
	_, err := detachAs(t.Context(), t, "refused", nil)
	told, ok := errors.AsType[*exitError](err)
	if !ok || told.code != exitConnect || told.text != "login refused" {
		t.Errorf("%v", err)
	}
}

func TestDetachCrash(t *testing.T) {
	s, err := detachAs(t.Context(), t, "silent", nil)
	told, ok := errors.AsType[*exitError](err)
	if !ok || told.code != exitFailure || !strings.Contains(told.text, s.LogFile) {
		t.Errorf("%v, want a failure that names the log", err)
	}
	if log, err := os.ReadFile(s.LogFile); err != nil || string(log) != "crash\n" {
		t.Errorf("the log holds %q, %v", log, err)
	}
}

func TestDetachInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := detachAs(ctx, t, "slow", func(string) { cancel() })
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("%v", err)
	}
}
