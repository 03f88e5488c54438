package cache

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ftpfs/conn"
)

func listing(names ...string) conn.Listing {
	l := conn.Listing{Complete: true}
	for _, n := range names {
		l.Entries = append(l.Entries, conn.Entry{Name: n, Kind: conn.KindFile})
	}
	return l
}

func TestDirModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-e]{1,3}`)
		start := rapid.SliceOfN(name, 0, 90).Draw(t, "start")
		d := newDir(listing(start...))
		model := make(map[string]conn.Entry)
		for _, n := range start {
			model[n] = conn.Entry{Name: n, Kind: conn.KindFile}
		}
		var snapshot, copyOfIt []conn.Entry
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				e := conn.Entry{Name: name.Draw(t, "name"), Size: rapid.Int64Range(0, 9).Draw(t, "size")}
				d.Set(e)
				model[e.Name] = e
			},
			"delete": func(t *rapid.T) {
				n := name.Draw(t, "name")
				d.Delete(n)
				delete(model, n)
			},
			"entries": func(t *rapid.T) {
				snapshot = d.Entries()
				copyOfIt = slices.Clone(snapshot)
				var want []conn.Entry
				for _, n := range slices.Sorted(maps.Keys(model)) {
					want = append(want, model[n])
				}
				if diff := cmp.Diff(want, copyOfIt); diff != "" && len(want)+len(copyOfIt) > 0 {
					t.Fatalf("entries (-want +got):\n%s", diff)
				}
			},
			"": func(t *rapid.T) {
				n := name.Draw(t, "lookup")
				got, ok := d.Lookup(n)
				if want, there := model[n]; ok != there || got != want {
					t.Fatalf("Lookup(%q) = %v, %v; want %v, %v", n, got, ok, want, there)
				}
				if d.Len() != len(model) {
					t.Fatalf("Len = %d, want %d", d.Len(), len(model))
				}
				if !slices.Equal(snapshot, copyOfIt) {
					t.Fatal("a snapshot changed")
				}
			},
		})
	})
}

// A directory of 100,000 entries may cost little more than they do, and a change to it little.
func TestDirLarge(t *testing.T) {
	const n = 100_000
	l := conn.Listing{Entries: make([]conn.Entry, n), Complete: true}
	for i := range l.Entries {
		l.Entries[i] = conn.Entry{Name: fmt.Sprintf("file%06d", i)}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := newDir(l)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := int64(after.HeapAlloc-before.HeapAlloc) / n; per > 150 {
		t.Errorf("%d bytes an entry beyond the strings", per)
	}
	changes := 0
	allocs := testing.AllocsPerRun(1000, func() {
		changes++
		d.Set(conn.Entry{Name: fmt.Sprintf("new%06d", changes)})
	})
	if allocs > 8 {
		t.Errorf("%v allocations for one Set", allocs)
	}
	if d.Len() != n+changes || len(d.Entries()) != n+changes {
		t.Errorf("Len = %d, %d entries; want %d", d.Len(), len(d.Entries()), n+changes)
	}
	runtime.KeepAlive(l)
}
