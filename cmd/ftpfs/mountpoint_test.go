package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckMountpoint(t *testing.T) {
	dir := t.TempDir()
	empty, full, file := filepath.Join(dir, "empty"), filepath.Join(dir, "full"), filepath.Join(dir, "full", "file")
	for _, d := range []string{empty, full} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir      string
		nonEmpty bool
		says     string // "": fine
	}{
		{empty, false, ""},
		{full, true, ""},
		{full, false, "not empty"},
		{file, false, "not a directory"},
		{filepath.Join(file, "below"), false, "cannot use the mountpoint"},
		{filepath.Join(dir, "missing"), true, "does not exist"},
		{"/dev", true, "busy, something is mounted there"},
	} {
		err := checkMountpoint(c.dir, c.nonEmpty, func(string) (bool, error) {
			t.Errorf("%s is taken for a mount of ours", c.dir)
			return false, nil
		})
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.dir, err, c.says)
		}
	}
}

func TestResolveMountpoint(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := errors.Join(os.Mkdir("real", 0o700), os.Symlink("real", "link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"real":            "real",
		"link":            "real",
		"./link/../real/": "real",
		"link/missing":    "real/missing",
		"gone/missing":    "gone/missing",
	} {
		if got, err := resolveMountpoint(name); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
}
