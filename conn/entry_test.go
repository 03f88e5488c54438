package conn

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEntryVersion(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 26, 9, 0, time.UTC)
	e := Entry{Name: "f", Kind: KindFile, Size: 10, Time: at, Precision: time.Minute}
	if got, want := e.Version(), (Version{State: Present, Size: 10, Time: at, Precision: time.Minute}); got != want {
		t.Errorf("Version() = %+v, want %+v", got, want)
	}
}

func TestVersionSame(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 26, 9, 0, time.UTC)
	of := func(size int64, at time.Time, p time.Duration) Version {
		return Version{State: Present, Size: size, Time: at, Precision: p}
	}
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name string
		v, w Version
		want bool
	}{
		{"equal", of(10, at, time.Second), of(10, at, time.Second), true},
		{"other size", of(10, at, time.Second), of(11, at, time.Second), false},
		{"other second", of(10, at, time.Second), of(10, at.Add(time.Second), time.Second), false},
		{"part of a second", of(10, at, time.Second), of(10, at.Add(300*time.Millisecond), time.Second), true},
		{"no precision is a second", of(10, at, 0), of(10, at.Add(300*time.Millisecond), 0), true},
		{"LIST's minute", of(10, at, time.Second), of(10, at.Truncate(time.Minute), time.Minute), true},
		{"another minute", of(10, at, time.Second), of(10, at.Add(-time.Minute).Truncate(time.Minute), time.Minute), false},
		{"LIST's day", of(10, at, time.Second), of(10, at.Truncate(day), day), true},
		{"LIST's day in another zone", of(10, at, time.Second), of(10, at.Truncate(day).Add(15*time.Hour), day), true},
		{"another day there", of(10, at, time.Second), of(10, at.Truncate(day).Add(-9*time.Hour), day), false},
		{"another day", of(10, at, time.Second), of(10, at.Truncate(day).Add(-day), day), false},
		{"size unknown", of(-1, at, time.Second), of(10, at, time.Second), true},
		{"size unknown, other time", of(-1, at, time.Second), of(10, at.Add(time.Hour), time.Second), false},
		{"time unknown", of(10, time.Time{}, 0), of(10, at, time.Second), true},
		{"time unknown, other size", of(11, time.Time{}, 0), of(10, at, time.Second), false},
		{"another zone", of(10, at, time.Second), of(10, at.In(time.FixedZone("JST", 9*3600)), time.Second), true},
		{"anything", Version{}, of(10, at, time.Second), true},
		{"anything and absent", Version{}, Version{State: Absent}, true},
		{"absent twice", Version{State: Absent}, Version{State: Absent, Size: 3}, true},
		{"absent and present", Version{State: Absent}, of(0, time.Time{}, 0), false},
	} {
		if got := tt.v.Same(tt.w); got != tt.want {
			t.Errorf("%s: Same = %v, want %v", tt.name, got, tt.want)
		}
		if got := tt.w.Same(tt.v); got != tt.want {
			t.Errorf("%s, the other way round: Same = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A version is the same as itself seen with less precision: this is what lets
// a LIST confirm what MDTM said.
func TestVersionSameCoarser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fine := Version{
			State:     Present,
			Size:      rapid.Int64Min(-1).Draw(t, "size"),
			Time:      time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "time"), 0).UTC(),
			Precision: time.Second,
		}
		coarse := fine
		coarse.Precision = rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 24 * time.Hour}).Draw(t, "precision")
		coarse.Time = fine.Time.Truncate(coarse.Precision)
		if !fine.Same(coarse) || !coarse.Same(fine) {
			t.Fatalf("%+v and %+v differ", fine, coarse)
		}
	})
}
