package cache

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRanges(t *testing.T) {
	r := func(pairs ...int64) (out []Range) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, Range{pairs[i], pairs[i+1] - pairs[i]})
		}
		return out
	}
	for _, tc := range []struct {
		name string
		do   func(*ranges)
		want []Range
	}{
		{"empty", func(s *ranges) { s.add(3, 3); s.remove(1, 9) }, nil},
		{"touching ranges merge", func(s *ranges) { s.add(0, 4); s.add(8, 9); s.add(4, 8) }, r(0, 9)},
		{"left neighbour merges", func(s *ranges) { s.add(5, 7); s.add(3, 5) }, r(3, 7)},
		{"one over many", func(s *ranges) { s.add(2, 3); s.add(5, 6); s.add(0, 10) }, r(0, 10)},
		{"apart", func(s *ranges) { s.add(5, 6); s.add(0, 1) }, r(0, 1, 5, 6)},
		{"hole", func(s *ranges) { s.add(0, 10); s.remove(3, 5) }, r(0, 3, 5, 10)},
		{"cut over several", func(s *ranges) { s.add(0, 4); s.add(6, 8); s.add(9, 12); s.remove(3, 10) }, r(0, 3, 10, 12)},
		{"removing what only touches", func(s *ranges) { s.add(0, 4); s.remove(4, 9) }, r(0, 4)},
	} {
		var s ranges
		tc.do(&s)
		if diff := cmp.Diff(tc.want, s.list); diff != "" && len(tc.want)+len(s.list) > 0 {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestRangesModel(t *testing.T) {
	const size = 64
	rapid.Check(t, func(t *rapid.T) {
		var s ranges
		model := make([]bool, size)
		span := func() (int64, int64) {
			off := rapid.Int64Range(0, size).Draw(t, "off")
			return off, rapid.Int64Range(off, size).Draw(t, "end")
		}
		set := func(v bool) func(*rapid.T) {
			return func(*rapid.T) {
				off, end := span()
				if v {
					s.add(off, end)
				} else {
					s.remove(off, end)
				}
				for i := off; i < end; i++ {
					model[i] = v
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add":    set(true),
			"remove": set(false),
			"": func(t *rapid.T) {
				off, end := span()
				checkRanges(t, &s, model, off, end)
			},
		})
	})
}

// checkRanges compares s with the model, and gap for [off, end).
func checkRanges(t *rapid.T, s *ranges, model []bool, off, end int64) {
	got := make([]bool, len(model))
	last := int64(-1)
	for _, r := range s.list {
		if r.Len <= 0 || r.Off <= last {
			t.Fatalf("not sorted, apart and filled: %v", s.list)
		}
		last = r.End()
		for i := r.Off; i < r.End(); i++ {
			got[i] = true
		}
	}
	if diff := cmp.Diff(model, got); diff != "" {
		t.Fatalf("set (-want +got):\n%s", diff)
	}
	var want Range
	missing := false
	for i := off; i < end; i++ {
		if model[i] && missing {
			break
		}
		if !model[i] {
			if !missing {
				want, missing = Range{Off: i}, true
			}
			want.Len++
		}
	}
	if g, ok := s.gap(off, end); ok != missing || ok && g != want {
		t.Fatalf("gap(%d, %d) of %v = %v, %v; want %v, %v", off, end, s.list, g, ok, want, missing)
	}
	cut := s.clipped(off)
	for i := range model {
		if cut.has(int64(i), int64(i)+1) != (model[i] && int64(i) < off) {
			t.Fatalf("clipped(%d) of %v = %v", off, s.list, cut.list)
		}
	}
}
