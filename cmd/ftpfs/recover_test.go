package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/cache"
)

// TestRecover lists and moves what a mount that died has left.
func TestRecover(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s, err := cache.Open(dir, "me@host:21", cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.NewCopy(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteAt([]byte("text"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seal("/d/f", c, cache.Attrs{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		root := newRoot(stdio{out: &out, err: &errs})
		root.SetArgs(append([]string{"recover", "--cache-dir", dir}, args...))
		if err := root.Execute(); err != nil {
			t.Fatalf("recover %v: %v: %s", args, err, &errs)
		}
		return out.String()
	}
	for _, args := range [][]string{nil, {"--list"}} {
		if out := run(args...); !strings.Contains(out, "me@host:21  /d/f  goes up with the next mount") {
			t.Errorf("recover %v: %s", args, out)
		}
	}
	file := filepath.Join(to, "me@host:21", "d", "f")
	if out := run("--to", to); out != file+"\n" {
		t.Errorf("recover --to: %s", out)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "text" {
		t.Errorf("handed back: %q, %v", text, err)
	}
	if out := run(); out != "" {
		t.Errorf("left: %s", out)
	}
}
