//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOneUploadPerSave: each content that an editor wants kept is sent once,
// and nothing else is: no swap file, no file that it makes to try something
// out, no file that gets another name. Where it writes its backup anew instead of
// renaming the old file, or keeps a file with what can be undone, that is one
// more, for close has to tell whether the server has it.
func TestOneUploadPerSave(t *testing.T) {
	s := startServer(t, proftpd)
	m := mount(t, s)
	vim := func(options string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			sh(t, dir, `vim -es -N -u NONE -i NONE `+options+` -c '%s/two/TWO/' -c wq f < /dev/null`)
		}
	}
	nano := func(flags ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			n := openTerminal(t, dir, "nano", append([]string{"--ignorercfiles"}, append(flags, "f")...)...)
			n.Expect("two")
			n.Type("TWO \x0f") // ^O writes
			n.Expect("Name to Write")
			n.Type("\r")
			n.Expect("Wrote ")
			n.Type("\x18") // ^X leaves
			n.Wait()
		}
	}
	for _, editor := range []struct {
		name string
		save func(t *testing.T, dir string)
		stor int
	}{
		{"vim", vim(""), 1},
		{"vim with a swap file", vim(`-c 'set updatecount=1 swapsync=fsync' -c 'normal Ix' -c preserve`), 1},
		{"vim that keeps the backup", vim(`-c 'set backup backupcopy=no'`), 1},
		{"vim without a backup", vim(`-c 'set nowritebackup'`), 1},
		{"vim that copies for the backup", vim(`-c 'set backupcopy=yes'`), 1}, // the server copies
		{"vim with an undo file", vim(`-c 'set undofile'`), 2},
		{"nano", nano(), 1},
		{"nano with a lock file", nano("-G"), 1},
		{"nano with a backup", nano("-B"), 2},
		{"sed -i", func(t *testing.T, dir string) { sh(t, dir, "sed -i s/two/TWO/ f") }, 1},
		{"sed with a backup", func(t *testing.T, dir string) { sh(t, dir, "sed -i.bak s/two/TWO/ f") }, 1},
		{"redirect", func(t *testing.T, dir string) { sh(t, dir, "echo TWO > f") }, 1},
		{"write and rename", func(t *testing.T, dir string) { sh(t, dir, "echo TWO > f.new; mv f.new f") }, 1},
	} {
		t.Run(editor.name, func(t *testing.T) {
			name := strings.ReplaceAll(editor.name, " ", "-")
			dir := filepath.Join(m.Dir, name)
			must(t, os.Mkdir(dir, 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("one\ntwo\nthree\n"), 0o644))
			before := len(s.Uploads(t))
			editor.save(t, dir)
			if o := ftpfs(t, nil, "flush", m.Dir); o.Code != 0 {
				t.Fatalf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
			}
			if uploads := withContent(s.Uploads(t)[before:]); len(uploads) != editor.stor {
				t.Errorf("uploads: %v, want %d", uploads, editor.stor)
			}
			b, err := os.ReadFile(filepath.Join(s.Served, name, "f"))
			if err != nil || !strings.Contains(string(b), "TWO") {
				t.Error(fmt.Sprintf("the server has %q,", b), err)
			}
		})
	}
}
