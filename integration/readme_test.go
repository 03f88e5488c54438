//go:build linux

package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readme is the page with the table of what works on which server, between
// the two marks. A run of all tests compares it with what it found.
const (
	readme   = "../README.md"
	tableTop = "<!-- what works on which server: written by the tests, see integration/readme_test.go -->\n"
	tableEnd = "<!-- end of the table -->\n"
)

// serverNames are the headings of the table.
var serverNames = map[kind]string{proftpd: "ProFTPD", vsftpd: "vsftpd", pureftpd: "Pure-FTPd", pyftpdlib: "pyftpdlib", inetutils: "inetutils"}

// tableRow is a promise to people, and the tests that hold it, without the
// server in their names.
type tableRow struct {
	promise string
	tests   []string
}

// tableRows have every conformance case, every program and every saving
// sequence once.
func tableRows() []tableRow {
	in := func(test string, names ...string) []string {
		for i, name := range names {
			names[i] = test + "/" + name
		}
		return names
	}
	suite := func(names ...string) []string { return in("TestConformance", names...) }
	return []tableRow{
		{"redirects, pipes, `cp -r`, `mv`, `rm -r`, `mkdir -p`", suite("redirect", "redirect-shared", "cp", "cp-r", "mv", "mv-folder", "rm-r", "mkdir-p", "pipes")},
		{"`ls -l`, `find`, `du`, `df`, `stat`", suite("ls-find", "stat", "stat-own", "ids", "chown", "df")},
		{"reading anywhere in large files, by many at once", suite("read", "pager", "parallel-readers")},
		{"`sed -i`, `tar`, editors that save by renaming", suite("sed-i", "tar", "editors")},
		{"writing in the middle, truncating, holes, `mmap`", slices.Concat(suite("dd", "truncate", "write-middle", "trunc-open", "sparse", "mmap"),
			in("TestPrograms", "truncate", "mmap", "mmap-closed", "mmap-private"))},
		{"fsync, appends, several programs in one file, locks", suite("fsync", "two-handles", "append-handles", "read-while-written", "locks", "parallel-one-file")},
		{"open files that are renamed, replaced or removed", slices.Concat(suite("open-unlink", "open-unlink-written", "open-rename", "open-renamed-over", "open-large", "open-recreate", "open-folder", "cwd-moves"),
			in("TestPrograms", "replace-read"))},
		{"folders of 2,000 names, 16 programs that write at once", suite("many-entries", "many-made", "parallel-writers", "parallel-names", "parallel-rename")},
		{"modes and times: `chmod`, `touch -d`, `cp -p`", suite("chmod", "touch", "utimes", "cp-p")},
		{"`copy_file_range`, `cp --reflink=auto`", suite("copy-range")},
		{"git init, add, commit, clone, status", in("TestPrograms", "git")},
		{"SQLite, also with a write-ahead log", in("TestPrograms", "sqlite-journal", "sqlite-wal", "sqlite-killed")},
		{"rsync -a, and nothing to do the second time; `cp -a`, `find -delete`", in("TestPrograms", "rsync", "cp-a", "find-delete", "folder-times")},
		{"tar and unzip; programs on the mount run", in("TestPrograms", "tar", "unzip", "exec")},
		{"vim, nano, Python's files; how gedit, Qt and LibreOffice save", slices.Concat(in("TestPrograms", "vim", "nano", "python"), in("TestSaves", saveNames()...))},
		{"symlinks that are on the server", suite("symlinks")},
		{"symlinks made by `ln -s`, to what is there", suite("symlinks-made")},
		{"`rm -rf` removes symlinks, never what they lead to", suite("symlinks-rm")},
		{"refusals reach programs with the right error", suite("readonly-folder", "unreadable", "foreign-file", "errno-open", "errno-names", "errno-rename", "errno-links", "errno-exchange")},
		{"what others change shows after `--dir-ttl`, and is not overwritten", slices.Concat([]string{"TestForeignChanges", "TestTwoMounts"}, suite("made-elsewhere", "changed-elsewhere"))},
		{"`kill -9` of ftpfs: what close or fsync called safe is on the server after the next mount", []string{"TestCrash"}},
		{"the server hangs, dies or is full: true errors in time, and all goes on after", []string{"TestServerHangs", "TestServerRestarts", "TestDiskFull", "TestNoSpaceLeft"}},
		{"`mount -t fuse.ftpfs`, and so a line of /etc/fstab", []string{"TestMountHelper"}},
		{"a server that allows one session", []string{"TestOneSession"}},
		{"times of folders: `touch -d`, and `rsync -a` without `--omit-dir-times`", suite("utimes-folder")},
		{"names with spaces, quotes, `*?[]{}$%~;`, any UTF-8; 255 bytes; deep paths", suite("names", "names-listed", "names-long", "names-refused", "names-told", "deep")},
		{"folders with `*` in their name", suite("names-star", "names-star-listed")},
		{"names that end in a space", suite("names-end-space", "names-end-space-listed")},
		{"names with control characters", suite("names-control", "names-control-listed")},
		{"names with `\\`", suite("names-backslash", "names-backslash-listed")},
		{"names in Latin-1", suite("names-latin1", "names-latin1-listed")},
		{"names with the byte 0xFF", suite("names-ff", "names-ff-listed")},
		{"`--charset`: names in GBK, and in Latin-1 shown as UTF-8", []string{"TestCharset"}},
	}
}

func saveNames() []string {
	var names []string
	for _, s := range saves {
		names = append(names, s.name)
	}
	return names
}

// TestTableRows: no case, program or saving sequence is missing in the table.
func TestTableRows(t *testing.T) {
	var listed, all []string
	for _, r := range tableRows() {
		for _, name := range r.tests {
			if strings.Contains(name, "/") {
				listed = append(listed, name)
			}
		}
	}
	for _, c := range conformanceCases() {
		all = append(all, "TestConformance/"+c.name)
	}
	for _, p := range programs(proftpd) {
		all = append(all, "TestPrograms/"+p.name)
	}
	for _, name := range saveNames() {
		all = append(all, "TestSaves/"+name)
	}
	slices.Sort(listed)
	slices.Sort(all)
	if d := cmp.Diff(all, listed); d != "" {
		t.Errorf("tests (-) and rows of the table (+) differ:\n%s", d)
	}
}

// findings are what the run found out: for each test, without the server in
// its name, and each server the reason of an exception, "" for what works.
type findings struct {
	mu sync.Mutex
	of map[string]map[kind]string // guarded by mu
}

// ended takes note of the end of a test over a server, "Test/server" or
// "Test/server/case", unless it has failed.
func (f *findings) ended(t testing.TB, reason string) {
	test, rest, _ := strings.Cut(t.Name(), "/")
	server, name, more := strings.Cut(rest, "/")
	if more {
		test += "/" + name
	}
	if t.Failed() || !slices.Contains(everyServer, kind(server)) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of[test] == nil {
		f.of[test] = make(map[kind]string)
	}
	f.of[test][kind(server)] = reason
}

// joins reports whether a test runs on a server: inetutils' is not in all.
func joins(k kind, test string) bool {
	suite, name, _ := strings.Cut(test, "/")
	return k != inetutils || slices.Contains([]string{"TestConformance", "TestForeignChanges", "TestTwoMounts", "TestCharset"}, suite) ||
		suite == "TestPrograms" && slices.Contains(withoutTimes, name)
}

// whole reports whether all of the table was found out: a run of a part says
// nothing.
func (f *findings) whole() bool {
	for _, row := range tableRows() {
		for _, name := range row.tests {
			for _, k := range everyServer {
				if _, ok := f.of[name][k]; !ok && joins(k, name) {
					return false
				}
			}
		}
	}
	return true
}

// checkReadme compares the table in the README with what a run without
// failures found, or writes it if $FTPFS_UPDATE_README is 1.
func checkReadme(f *findings) error {
	if !f.whole() {
		return nil
	}
	b, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(b), tableTop)
	was, tail, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no table: it wants the lines\n%s%s", readme, tableTop, tableEnd)
	}
	is := f.table()
	switch {
	case was == is:
		return nil
	case os.Getenv("FTPFS_UPDATE_README") == "1":
		return os.WriteFile(readme, []byte(head+tableTop+is+tableEnd+tail), 0o644)
	}
	return fmt.Errorf("the table of %s (-) and what the tests found (+) differ; FTPFS_UPDATE_README=1 writes it anew:\n%s", readme, cmp.Diff(was, is))
}

// table writes the findings down, with the reasons as notes below.
func (f *findings) table() string {
	var b strings.Builder
	var notes []string
	b.WriteString("\n| |")
	for _, k := range everyServer {
		fmt.Fprintf(&b, " %s |", serverNames[k])
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(everyServer)) + "\n")
	for _, row := range tableRows() {
		fmt.Fprintf(&b, "| %s |", row.promise)
		for _, k := range everyServer {
			cell := "yes"
			for _, name := range row.tests {
				if !joins(k, name) && cell == "yes" {
					cell = "–"
				}
				reason := f.of[name][k]
				if reason == "" {
					continue
				}
				reason = serverNames[k] + " " + reason
				if !slices.Contains(notes, reason) {
					notes = append(notes, reason)
				}
				cell = fmt.Sprintf("no (%d)", slices.Index(notes, reason)+1)
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n–: not all of these tests run there.\n\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "%d. %s.\n", i+1, n)
	}
	return b.String() + "\n"
}
