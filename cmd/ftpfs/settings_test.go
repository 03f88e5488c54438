package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn"

	"github.com/spf13/pflag"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestSettingsCrossThePipe checks that a detached process gets all that its
// starter knows.
func TestSettingsCrossThePipe(t *testing.T) {
	s, err := parse("--cache-size=5M", "-o", "nonempty,umask=027,noexec,uid=7", "--timeout=5s", "--read-only")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := conn.ParseURL("ftp://me:hunter2@[::1]:2121//srv/a%20b")
	if err != nil {
		t.Fatal(err)
	}
	s.Server, s.Mountpoint = portableConfig{Config: cfg}, "/mnt/x"
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	text, err := s.marshal()
	if err != nil {
		t.Fatal(err)
	}
	var got settings
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, &got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	// What is not data is not sent, and does not break it either.
	s.Server.Config.Log = slog.Default()
	s.Server.Config.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	if again, err := s.marshal(); err != nil || string(again) != string(text) {
		t.Errorf("with a log and a dialer: %v, %s", err, again)
	}
}

func TestConfigTimeouts(t *testing.T) {
	for timeout, connect := range map[time.Duration]time.Duration{
		3 * time.Second:  3 * time.Second,
		60 * time.Second: conn.DefaultConnectTimeout,
	} {
		s := defaultSettings()
		s.Timeout = timeout
		if c := s.config(slog.Default()); c.Timeout != timeout || c.ConnectTimeout != connect {
			t.Errorf("--timeout %v: reply %v, connect %v", timeout, c.Timeout, c.ConnectTimeout)
		}
	}
}

func TestDefaultCacheDir(t *testing.T) {
	for _, c := range []struct {
		xdg, home string
		uid       int
		want      string
	}{
		{"/x", "/home/me", 1000, "/x/ftpfs"},
		{"relative", "/home/me", 1000, "/home/me/.cache/ftpfs"},
		{"", "/root", 0, "/root/.cache/ftpfs"},
		{"", "", 0, "/var/cache/ftpfs"},
		{"", "", 1000, ""},
	} {
		getenv := func(name string) string {
			return map[string]string{"XDG_CACHE_HOME": c.xdg, "HOME": c.home}[name]
		}
		if got := defaultCacheDir(getenv, c.uid); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestFinish(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := defaultSettings()
	s.CacheDir, s.LogFile, s.PasswordFile = "c", "../l", ""
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	wd := filepath.Clean(dir)
	if s.CacheDir != filepath.Join(wd, "c") || s.LogFile != filepath.Join(filepath.Dir(wd), "l") || s.PasswordFile != "" {
		t.Errorf("cache %s, log %s, password file %s", s.CacheDir, s.LogFile, s.PasswordFile)
	}
	if s.Umask == nil || *s.Umask != processUmask() {
		t.Errorf("umask %v, want the process's", s.Umask)
	}
	s.CacheDir = ""
	if err := s.finish(); err == nil {
		t.Error("no cache folder is no error")
	}
}

func TestWarmFlag(t *testing.T) {
	for arg, off := range map[string]bool{"": false, "--warm=on": false, "--warm=off": true} {
		s, f := defaultSettings(), pflag.NewFlagSet("", pflag.ContinueOnError)
		s.register(f)
		if err := f.Parse([]string{arg}); err != nil {
			t.Fatal(err)
		}
		if got := s.config(nil).NoWarm; got != off {
			t.Errorf("%q: NoWarm %v", arg, got)
		}
	}
}
