package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSmallLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log", "x.log")
	f, err := openLogFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	crash, err := openLogFile(name) // the same file, as stderr has it
	if err != nil {
		t.Fatal(err)
	}
	defer crash.Close()
	l := &smallLog{max: 100, file: f, older: name + ".1"}
	var written bytes.Buffer
	for i := range 25 {
		line := fmt.Sprintf("line %04d\n", i)
		written.WriteString(line)
		if n, err := l.Write([]byte(line)); err != nil || n != len(line) {
			t.Fatal(n, err)
		}
	}
	if _, err := crash.WriteString("panic!\n"); err != nil {
		t.Fatal(err)
	}
	written.WriteString("panic!\n")
	now, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(name + ".1")
	if err != nil {
		t.Fatal(err)
	}
	if kept := string(before) + string(now); !strings.HasSuffix(written.String(), kept) || len(before) != 100 || len(now) != 57 {
		t.Errorf("kept %d and %d bytes: %q", len(before), len(now), kept)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the log's mode: %v, %v", st.Mode(), err)
	}
	if _, err := l.Write(bytes.Repeat([]byte("x"), 200)); err != nil {
		t.Errorf("a line longer than the log: %v", err)
	}
}

func TestMountName(t *testing.T) {
	seen := map[string]string{}
	for _, dir := range []string{"/mnt/a", "/mnt/b", "/mnt/a/b", "/mnt/a-b", "/mnt/a b", "/", "/home/me/a very long name of a folder/äöü"} {
		name := mountName(dir)
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s are both called %s", dir, other, name)
		}
		seen[name] = dir
		if len(name) > 25 || strings.ContainsAny(name, "/ .") {
			t.Errorf("%s is called %q", dir, name)
		}
	}
}

func TestLogThatCannotBeOpened(t *testing.T) {
	if _, err := openLogFile(filepath.Join(os.DevNull, "log")); err == nil {
		t.Error("a log below a file is no error")
	}
}
