package cache

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const restarted = " (the machine was restarted before the bytes were known to be on the disk)"

// A power cut brings back what was synced last, and never bytes that were not.
func TestPowerCut(t *testing.T) {
	write := func(t *testing.T, s *Store, c *Copy, text string) *Sealed {
		_, err := c.WriteAt([]byte(text), 0)
		must(t, err)
		v, err := s.Seal("/f", c, Attrs{})
		must(t, err)
		return v
	}
	rename := func(t *testing.T, s *Store, c *Copy) {
		must(t, write(t, s, c, "1").Sync())
		seal(t, s, "/tmp", "T")
		must(t, s.Rename("/tmp", "/f"))
	}
	done := func(t *testing.T, s *Store, c *Copy) {
		v := write(t, s, c, "1")
		must(t, v.Sync())
		must(t, v.Done())
		must(t, s.Dirty("/f", c))
		_, err := c.WriteAt([]byte("2"), 0)
		must(t, err)
	}
	for _, tc := range []struct {
		name      string
		do        func(*testing.T, *Store, *Copy)
		pending   []string
		recovered []string
	}{
		{"not synced", func(t *testing.T, s *Store, c *Copy) { write(t, s, c, "1") }, nil, []string{"/f=1" + restarted}},
		{"synced", func(t *testing.T, s *Store, c *Copy) { must(t, write(t, s, c, "1").Sync()) }, []string{"/f=1"}, nil},
		{"superseded", func(t *testing.T, s *Store, c *Copy) {
			must(t, write(t, s, c, "1").Sync())
			write(t, s, c, "2")
			write(t, s, c, "3")
		}, []string{"/f=1"}, []string{"/f=3" + restarted}},
		{"superseded durably", func(t *testing.T, s *Store, c *Copy) {
			must(t, write(t, s, c, "1").Sync())
			must(t, write(t, s, c, "2").Sync())
		}, []string{"/f=2"}, nil},
		{"appended", func(t *testing.T, s *Store, c *Copy) {
			must(t, write(t, s, c, "1").Sync())
			_, err := c.WriteAt([]byte("23"), 1)
			must(t, err)
			_, err = s.Seal("/f", c, Attrs{})
			must(t, err)
		}, []string{"/f=1"}, []string{"/f=123" + restarted}},
		{"replaced by rename", rename, []string{"/f=T"}, nil},
		{"done and written again", done, nil, []string{"/f=2 (the changes were not sealed when the process died)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, all := range []bool{false, true} {
				testPowerCut(t, tc.do, all, tc.pending, tc.recovered)
			}
		})
	}
}

// testPowerCut cuts the power when all names and the bytes of the copies got
// to the disk, by luck. all: what was appended to the journal did, too.
func testPowerCut(t *testing.T, do func(*testing.T, *Store, *Copy), all bool, pending, recovered []string) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	do(t, s, newCopy(t, s, ""))
	must(t, disk.SyncDir(s.dir+"/copies"))
	names, err := disk.ReadDir(s.dir + "/copies")
	must(t, err)
	for _, name := range names {
		n, err := disk.find(s.dir + "/copies/" + name)
		must(t, err)
		n.synced = bytes.Clone(n.data)
	}
	if all {
		must(t, s.journal.file.Sync())
	}
	for range 2 { // the second cut finds the same
		disk.restart(true, func(n int) int { return 1 })
	}
	next := openStore(t, disk, "/cache")
	adopted, err := next.Adopt()
	must(t, err)
	var got []string
	for _, a := range adopted {
		got = append(got, pendingOf(t, a)...)
		must(t, a.Close())
	}
	if diff := cmp.Diff(pending, got); diff != "" {
		t.Errorf("journal whole %v: pending (-want +got):\n%s", all, diff)
	}
	if !all && len(recovered) > 0 && strings.HasSuffix(recovered[0], restarted) {
		return // the journal may not know of it
	}
	if diff := cmp.Diff(recovered, recoveredOf(t, next), sortStrings); diff != "" {
		t.Errorf("journal whole %v: recovery (-want +got):\n%s", all, diff)
	}
}

// Wherever a process dies in a call, durable bytes are pending or in the
// recovery folder; also if the power goes right after the next process looked.
func TestDeathWithinCall(t *testing.T) {
	for name, call := range map[string]func(*Sealed) error{
		"sync":   (*Sealed).Sync,
		"refuse": func(v *Sealed) error { _, err := v.Refuse("no"); return err },
		"done":   (*Sealed).Done,
		"rename": func(v *Sealed) error { return v.store.Rename("/f", "/g") },
	} {
		for _, cuts := range [][]bool{{false}, {true}, {false, true}, {true, true}} {
			for names := range 2 { // 0: those that were not synced are lost
				done := false
				for steps := 1; !done; steps++ {
					var found []string
					done, found = dieWithin(t, call, steps, cuts, names)
					what := fmt.Sprintf("%s dies at step %d, power cuts %v, names kept %d: %q", name, steps, cuts, names, found)
					if len(found) == 0 && !(done && name == "done") {
						t.Errorf("nothing is left when %s", what)
					}
					if slices.Contains(found, "recovered 2") && slices.Contains(found, "pending 1") && !slices.Contains(cuts, true) {
						t.Errorf("the refused version gives way to the one before when %s", what)
					}
				}
			}
		}
	}
}

// dieWithin seals two versions, the first durably, and lets the process die
// at a step of a call on the second. It returns what is found after it, and whether the
// call ended before.
func dieWithin(t *testing.T, call func(*Sealed) error, steps int, cuts []bool, names int) (done bool, found []string) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	must(t, seal(t, s, "/f", "1").Sync())
	v := seal(t, s, "/f", "2")
	disk.setSteps(steps)
	done = call(v) == nil
	for _, cut := range cuts {
		disk.restart(cut, func(n int) int {
			if n == 3 {
				return names
			}
			return 1 // of the bytes only what was synced
		})
		found = findBytes(t, disk)
	}
	return done, found
}

// findBytes adopts what is there and returns the contents of what is pending or recovered.
func findBytes(t *testing.T, disk *memDisk) (out []string) {
	s := openStore(t, disk, "/cache")
	all, err := s.Adopt()
	must(t, err)
	for _, a := range all {
		for _, v := range a.Pending() {
			out = append(out, "pending "+contentOf(t, v))
		}
		must(t, a.Close())
	}
	list, err := s.Recovery()
	must(t, err)
	for _, r := range list {
		text, err := readFile(disk, r.File)
		must(t, err)
		out = append(out, "recovered "+string(text))
	}
	return out
}

// What the recovery folder was once seen to have, a power cut does not take.
func TestRecoveryIsDurable(t *testing.T) {
	for steps := 1; ; steps++ {
		disk := newMemDisk()
		v := seal(t, openStore(t, disk, "/cache"), "/f", "bytes")
		disk.setSteps(steps)
		_, err := v.Refuse("no")
		disk.restart(false, nil)
		seen := findBytes(t, disk)
		disk.restart(true, func(n int) int {
			if n == 3 {
				return 0
			}
			return 1
		}) // neither names nor bytes that were not synced
		found := findBytes(t, disk)
		if slices.Contains(seen, "recovered bytes") && !slices.Contains(found, "recovered bytes") {
			t.Errorf("Refuse dies at step %d: %q, and after the power cut %q", steps, seen, found)
		}
		if err == nil {
			return
		}
	}
}
