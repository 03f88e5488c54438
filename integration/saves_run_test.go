//go:build linux

package integration

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// saves are the ways in which programs with windows save a file, recorded
// with strace from the libraries that do it: no window was opened. What is
// in testdata/saves/NAME.calls was recorded on ext4; where ftpfs made a
// program go another way, that is in NAME.ftp.calls.
var saves = []struct {
	name string
	file string // what is saved
	size int    // before it is; -1: it is not there
	stor int    // uploads that it takes
}{
	{"gedit", "notes.txt", 5000, 1},
	{"gedit-backup", "notes.txt", 5000, 1},
	{"gedit-new", "notes.txt", -1, 1},
	{"qsavefile", "notes.txt", 5000, 1},
	{"qsavefile-new", "notes.txt", -1, 1},
	{"libreoffice", "letter.odt", 8645, 2 + 3}, // saved twice, and locked for others three times: each lock is a file with a name in it
}

// TestSaves replays them: each call must give what it gave the program, and
// the folder must be the same in the end as on a local disk.
func TestSaves(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			m := mount(t, s)
			for _, save := range saves {
				t.Run(save.name, func(t *testing.T) {
					local := t.TempDir()
					prepareSave(t, local, save.file, save.size)
					replaySave(t, local, save.name+".calls")
					must(t, os.Mkdir(filepath.Join(m.Dir, save.name), 0o755))
					e := env{Dir: filepath.Join(m.Dir, save.name), Served: filepath.Join(s.Served, save.name), Remote: true}
					recording := save.name + ".ftp.calls"
					if _, err := os.Stat(filepath.Join("testdata/saves", recording)); errors.Is(err, fs.ErrNotExist) {
						recording = save.name + ".calls"
					}
					prepareSave(t, e.Dir, save.file, save.size)
					before := len(s.Uploads(t))
					replaySave(t, e.Dir, recording)
					// No wait: each of them ends in a close or a rename.
					sameTrees(t, local, e.Served)
					e.Same(t)
					if uploads := withContent(s.Uploads(t)[before:]); len(uploads) != save.stor {
						t.Errorf("uploads: %v, want %d", uploads, save.stor)
					}
					const modes = `find . -type f -printf '%m %P\n' | sort`
					equal(t, "modes on the server", sh(t, e.Served, modes), sh(t, local, modes))
					the.found.ended(t, "")
				})
			}
			noTemporaries(t, s.Served)
		})
	}
}

// prepareSave makes the file that is saved, if it is there before.
func prepareSave(t *testing.T, dir, file string, size int) {
	t.Helper()
	if size >= 0 {
		name := filepath.Join(dir, file)
		must(t, os.WriteFile(name, randomBytes(99, size), 0o640))
		must(t, os.Chmod(name, 0o640))
	}
}

// replaySave replays a recording in dir.
func replaySave(t *testing.T, dir, recording string) {
	t.Helper()
	r := playback{dir: dir, fds: map[string]int{}}
	r.run(t, readCalls(t, filepath.Join("testdata/saves", recording)))
}
