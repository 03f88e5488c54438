package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
)

func TestDoctor(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	srv := ftptest.Start(t)
	code, out, errs := runCommand(t, "doctor", "--max-connections=2", srv.URL())
	if code != exitOK || errs != "" || !strings.Contains(out, "\nwriting                          yes\n") || !strings.Contains(out, "-> ") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if code, _, errs = runCommand(t, "doctor", "--tls=explicit", srv.URL()); code != exitConnect || !strings.Contains(errs, "offers no TLS") {
		t.Errorf("without TLS: code %d, %s", code, errs)
	}
	if strings.Contains(out+errs, ftptest.User+":"+ftptest.Password) {
		t.Errorf("the password shows in %s%s", out, errs)
	}
}

func TestDoctorClean(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	srv := ftptest.Start(t)
	if err := os.Mkdir(filepath.Join(srv.Root, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-25 * time.Hour)
	for name, when := range map[string]time.Time{
		"d/.ftpfs-1-old.tmp": old, ".ftpfs-1-new.tmp": time.Now(), "other.tmp": old,
	} {
		file := filepath.Join(srv.Root, name)
		if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := runCommand(t, "doctor", "--clean", srv.URL())
	if code != exitOK || strings.Count(out, "\n") != 1 || !strings.HasSuffix(out, " /d/.ftpfs-1-old.tmp\n") || !strings.Contains(errs, ": 1\n") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
}
