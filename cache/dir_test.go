package cache

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

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
		d := newDir(listing(start...), Entries{})
		model := make(map[string]conn.Entry)
		for _, n := range start {
			model[n] = conn.Entry{Name: n, Kind: conn.KindFile}
		}
		var snapshot Entries
		var copyOfIt []conn.Entry
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
				copyOfIt = slices.Collect(snapshot.From(0))
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
				if !slices.Equal(slices.Collect(snapshot.From(0)), copyOfIt) {
					t.Fatal("a snapshot changed")
				}
			},
		})
	})
}

// Each change is told of, also when it has been merged.
func TestDirChanged(t *testing.T) {
	d := newDir(conn.Listing{Entries: []conn.Entry{{Name: "b"}, {Name: "a"}}}, Entries{})
	d.Delete("c")
	if d.Changed() || !slices.Equal(namesOf(d.Entries()), []string{"a", "b"}) {
		t.Errorf("as it came: changed %v, %q", d.Changed(), namesOf(d.Entries()))
	}
	d.Delete("a")
	if names := namesOf(d.Entries()); !d.Changed() || !slices.Equal(names, []string{"b"}) {
		t.Errorf("changed %v, %q", d.Changed(), names)
	}
}

// A directory of a million entries takes at most 200 bytes for each while it is
// cached, its name included, and a change to it little.
func TestDirLarge(t *testing.T) {
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := NewListings(10, time.Minute)
	d, err := l.Load(t.Context(), "/d", 0, func(context.Context) (conn.Listing, error) { return largeListing(n), nil })
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := int64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%d bytes an entry", per)
	if per > 200 {
		t.Errorf("%d bytes an entry", per)
	}
	changes := 0
	allocs := testing.AllocsPerRun(1000, func() {
		changes++
		d.Set(conn.Entry{Name: fmt.Sprintf("new%06d", changes)})
	})
	if allocs > 8 {
		t.Errorf("%v allocations for one Set", allocs)
	}
	if d.Len() != n+changes || d.Entries().Len() != n+changes {
		t.Errorf("Len = %d, %d entries; want %d", d.Len(), d.Entries().Len(), n+changes)
	}
	runtime.KeepAlive(l)
}

// largeListing is as a parser makes it: with owners that are there once, and
// names in memory of their own.
func largeListing(n int) conn.Listing {
	l := conn.Listing{Entries: make([]conn.Entry, 0, n), Complete: true}
	for i := range n {
		l.Entries = append(l.Entries, conn.Entry{
			Name: "a file of some length, number " + strconv.Itoa(i), Kind: conn.KindFile, Size: int64(i), Time: time.Unix(int64(i), 0),
			Precision: time.Second, Mode: 0o644, HasMode: true, Owner: "1000", Group: "1000", Perm: "adfrw", Links: 1,
		})
	}
	return l
}

// Entries keep all facts, the order in which they came, and no two of one name.
func TestEntries(t *testing.T) {
	want := []conn.Entry{
		{Name: "c", Kind: conn.KindFile, Size: 1 << 40, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Precision: time.Second,
			Mode: 0o4755, HasMode: true, Owner: "o", Group: "g", Links: 2, Perm: "r"},
		{Name: "a", Kind: conn.KindSymlink, Size: -1, Target: "c"},
		{Name: "b", Kind: conn.KindDir, Size: -1, Time: time.Unix(0, 0).UTC()},
	}
	var p packer
	e := Entries{p.appendTo(nil, want)}
	if diff := cmp.Diff(want, slices.Collect(e.From(0))); diff != "" {
		t.Errorf("packed and unpacked (-want +got):\n%s", diff)
	}
	d := newDir(conn.Listing{Entries: []conn.Entry{{Name: "d"}, {Name: "a"}}, Early: 3}, e)
	if names := namesOf(d.Entries()); !slices.Equal(names, []string{"a", "b", "c", "d"}) {
		t.Errorf("what came early and what came late: %q", names)
	}
	if got, _ := d.Lookup("a"); got != want[1] {
		t.Errorf("a is %v", got)
	}
	if d := newDir(conn.Listing{Entries: []conn.Entry{{Name: "d"}}}, e); d.Len() != 1 {
		t.Errorf("what came early from a session that broke counts: %d entries", d.Len())
	}
	if names := namesOf(e.Plus(d.Entries())); !slices.Equal(names, []string{"c", "a", "b", "d"}) {
		t.Errorf("c, a, b plus others: %q", names)
	}
	others := slices.Values([]conn.Entry{{Name: "b", Size: 9}, {Name: "0"}, {Name: "e"}})
	with := d.Entries().With(others, func(name string) bool { return name == "c" || name == "0" })
	if names := namesOf(with); !slices.Equal(names, []string{"0", "a", "b", "d", "e"}) || with.At(2).Size != 9 {
		t.Errorf("with others: %q, b is %v", names, with.At(2))
	}
}

func namesOf(e Entries) (names []string) {
	for e := range e.From(0) {
		names = append(names, e.Name)
	}
	return names
}
