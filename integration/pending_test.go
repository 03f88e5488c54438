//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// journalRecord is the part of a line of a mount's journal that the tests
// read. The format is that of package cache, which documents it; reading it
// here again keeps it what it says.
type journalRecord struct {
	Op                          string
	ID, Parent, Node, File, Old uint64
	Name                        string
}

// pendingIn says what the journals in a cache folder have that is not on the
// server: sealed versions that did not end, files with changes that are not
// sealed, and temporary names on the server.
func pendingIn(cache string) []string {
	var pending []string
	for _, journal := range filesIn(cache, func(p string) bool { return filepath.Base(p) == "journal" }) {
		pending = append(pending, pendingInJournal(journal)...)
	}
	return pending
}

// recoveredIn returns the files in the recovery folders of a cache folder:
// bytes that never reached the server.
func recoveredIn(cache string) []string {
	return filesIn(cache, func(p string) bool { return filepath.Base(filepath.Dir(p)) == "recovery" })
}

// filesIn returns the files below dir that match.
func filesIn(dir string, match func(path string) bool) (files []string) {
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && match(p) {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		files = append(files, err.Error())
	}
	return files
}

func pendingInJournal(name string) []string {
	text, err := os.ReadFile(name)
	if err != nil {
		return []string{err.Error()}
	}
	parent, version := map[uint64]uint64{}, map[uint64]uint64{} // by node
	ended, dirty, temp := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
	names := map[uint64]string{}
	for line := range bytes.Lines(text) {
		var r journalRecord
		if len(line) < 10 || json.Unmarshal(line[9:], &r) != nil {
			return []string{fmt.Sprintf("%s: bad line %q", name, line)}
		}
		switch r.Op {
		case "node", "move":
			parent[r.ID], names[r.ID] = r.Parent, r.Name
		case "gone":
			for n := range version {
				if below(parent, n, r.ID) {
					delete(version, n)
				}
			}
			delete(temp, r.ID)
		case "dirty":
			delete(dirty, r.Old)
			dirty[r.File] = true
		case "clean":
			delete(dirty, r.File)
		case "seal":
			version[r.Node] = r.ID
			delete(dirty, r.File)
		case "end":
			ended[r.ID] = true
		case "temp":
			temp[r.ID] = true
		case "notemp":
			delete(temp, r.ID)
		}
	}
	var pending []string
	for node, v := range version {
		if !ended[v] {
			pending = append(pending, fmt.Sprintf("version %d of %q", v, names[node]))
		}
	}
	for file := range dirty {
		pending = append(pending, fmt.Sprintf("changes in copies/%d", file))
	}
	for node := range temp {
		pending = append(pending, fmt.Sprintf("temporary name %q", names[node]))
	}
	return pending
}

// below reports whether node is ancestor or lies below it.
func below(parent map[uint64]uint64, node, ancestor uint64) bool {
	for node != ancestor {
		up, ok := parent[node]
		if !ok {
			return false
		}
		node = up
	}
	return true
}
