// Package ftpfs_test holds the rules of the whole module.
package ftpfs_test

import (
	"go/parser"
	"go/token"
	iofs "io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "ftpfs"

// below says which of our packages each package may import; its tests may
// also import conn/ftptest and its server. Imports point down only.
var below = map[string][]string{
	"cmd/ftpfs":           {"fs", "fs/tree", "fs/transfer", "cache", "conn", "conn/ftp", "conn/doctor", "conn/ftptest/server"},
	"fs":                  {"fs/tree", "fs/transfer", "cache", "conn"},
	"fs/transfer":         {"fs/tree", "cache", "conn"},
	"fs/tree":             {"cache", "conn"},
	"cache":               {"conn"},
	"conn":                {},
	"conn/ftp":            {"conn", "conn/wire"},
	"conn/wire":           {"conn"},
	"conn/doctor":         {"conn"},
	"conn/ftptest":        {"conn/ftptest/server"},
	"conn/ftptest/server": {},
	"integration":         {},
	".":                   {},
}

// testsOnly may be imported by tests beside what is below.
var testsOnly = []string{"conn/ftptest", "conn/ftptest/server", "conn/ftp"}

// owners says which packages alone may import a module; with a "+test" only
// their tests may.
var owners = map[string][]string{
	"github.com/hanwen/go-fuse": {"fs", "integration"},
	"github.com/jlaffaye/ftp":   {"conn/ftp", "conn/ftptest+test", "conn/ftptest/server+test", "conn/wire+test"},
	"github.com/hashicorp":      {"cache"},
	"github.com/spf13":          {"cmd/ftpfs"},
	"github.com/jdx/go-netrc":   {"cmd/ftpfs"},
	"golang.org/x/term":         {"cmd/ftpfs"},
	"golang.org/x/net":          {"conn/wire", "cmd/ftpfs"},
	"golang.org/x/text":         {"conn"},
	"github.com/pkg/sftp":       {"conn/sftp"},
	"github.com/google/go-cmp":  nil, // tests only
	"go.uber.org/goleak":        nil,
	"pgregory.net/rapid":        nil,
}

// TestImports reads every Go file, whatever system it is for.
func TestImports(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d iofs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		files++
		checkFile(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d Go files were found", files)
	}
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	room, test := filepath.ToSlash(filepath.Dir(path)), strings.HasSuffix(path, "_test.go")
	allowed, ok := below[room]
	if !ok {
		t.Errorf("%s: the package %s has no place in the rules of rooms_test.go", path, room)
		return
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
			if ours != room && !slices.Contains(allowed, ours) && !(test && slices.Contains(testsOnly, ours)) {
				t.Errorf("%s imports %s: imports point down only", path, ours)
			}
			continue
		}
		if !mayImport(room, test, imported) {
			t.Errorf("%s imports %s, which is not for %s", path, imported, room)
		}
	}
}

// mayImport reports whether a file of room may import a package that is not ours.
func mayImport(room string, test bool, imported string) bool {
	for prefix, rooms := range owners {
		if !strings.HasPrefix(imported, prefix) {
			continue
		}
		if rooms == nil && !test {
			return false
		}
		if rooms != nil && !slices.Contains(rooms, room) && !(test && slices.Contains(rooms, room+"+test")) {
			return false
		}
	}
	return true
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		room     string
		test     bool
		imported string
		want     bool
	}{
		{"conn/ftp", false, "github.com/jlaffaye/ftp", true},
		{"conn/wire", false, "github.com/jlaffaye/ftp", false},
		{"conn/ftptest/server", true, "github.com/jlaffaye/ftp", true},
		{"conn/ftptest/server", false, "github.com/jlaffaye/ftp", false},
		{"cache", false, "github.com/hashicorp/golang-lru/v2", true},
		{"fs/tree", false, "github.com/hashicorp/golang-lru/v2", false},
		{"conn", true, "pgregory.net/rapid", true},
		{"conn", false, "pgregory.net/rapid", false},
		{"conn", false, "net/textproto", true},
	} {
		if got := mayImport(c.room, c.test, c.imported); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
