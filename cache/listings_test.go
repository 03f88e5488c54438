package cache

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
)

// loads returns a load function that counts its calls and gives names.
func loads(count *int, names ...string) func(context.Context) (conn.Listing, error) {
	return func(context.Context) (conn.Listing, error) {
		*count++
		return listing(names...), nil
	}
}

// mustLoad loads dir with the age limit of l's TTL.
func mustLoad(t *testing.T, l *Listings, dir string, names ...string) *Dir {
	t.Helper()
	n := 0
	d, err := l.Load(t.Context(), dir, l.TTL(), loads(&n, names...))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestListingsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewListings(100, 5*time.Second)
		n := 0
		get := func(maxAge time.Duration, wantLoads int) *Dir {
			t.Helper()
			d, err := l.Load(t.Context(), "/d", maxAge, loads(&n, "x"))
			if err != nil || n != wantLoads {
				t.Fatalf("err %v, %d loads; want %d", err, n, wantLoads)
			}
			return d
		}
		if _, ok := l.Peek("/d"); ok {
			t.Error("Peek found something in an empty cache")
		}
		d := get(l.TTL(), 1)
		if !d.Complete() || d.Age() != 0 || !d.Filled().Equal(time.Now()) {
			t.Errorf("complete %v, age %v", d.Complete(), d.Age())
		}
		time.Sleep(5*time.Second - 1)
		get(5*time.Second, 1)
		time.Sleep(time.Nanosecond)
		if p, ok := l.Peek("/d"); !ok || p != d || p.Age() != 5*time.Second {
			t.Error("Peek does not give an old listing")
		}
		get(5*time.Second, 2)
		get(0, 3)
		get(-1, 4)
		get(time.Nanosecond, 4)
	})
}

func TestListingsShareOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewListings(100, time.Second)
		wantErr := errors.New("refused")
		for _, loadErr := range []error{nil, wantErr} {
			l.ForgetAll()
			n := 0
			results := make(chan error, 3)
			for range cap(results) {
				go func() {
					_, err := l.Load(t.Context(), "/d", time.Second, func(context.Context) (conn.Listing, error) {
						n++
						time.Sleep(time.Second)
						return listing("x"), loadErr
					})
					results <- err
				}()
			}
			for range cap(results) {
				if err := <-results; !errors.Is(err, loadErr) {
					t.Errorf("got %v, want %v", err, loadErr)
				}
			}
			if n != 1 {
				t.Errorf("%d loads, want 1", n)
			}
			if _, ok := l.Peek("/d"); ok != (loadErr == nil) {
				t.Errorf("cached: %v after error %v", ok, loadErr)
			}
		}
	})
}

// The first caller's context does not end a load that others wait for; the
// last one's does, and nobody joins it then.
func TestListingsCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		l := NewListings(100, time.Second)
		cause := errors.New("interrupted")
		var loadCtx context.Context
		load := func(ctx context.Context) (conn.Listing, error) {
			loadCtx = ctx
			<-ctx.Done()
			return conn.Listing{}, ctx.Err()
		}
		var cancels []context.CancelCauseFunc
		results := make(chan error)
		for range 2 {
			ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "v"))
			cancels = append(cancels, cancel)
			go func() {
				_, err := l.Load(ctx, "/d", time.Second, load)
				results <- err
			}()
			synctest.Wait()
		}
		cancels[0](cause)
		if err := <-results; err != cause {
			t.Errorf("first caller: %v", err)
		}
		synctest.Wait()
		if loadCtx.Err() != nil || loadCtx.Value(key{}) != "v" {
			t.Error("the load was cancelled while somebody waits, or lost its values")
		}
		cancels[1](cause)
		<-results
		if loadCtx.Err() == nil {
			t.Error("the load goes on for nobody")
		}
		mustLoad(t, l, "/d", "x")
	})
}

func TestListingsBound(t *testing.T) {
	l := NewListings(6, time.Hour)
	check := func(wantLen int, want map[string]bool) {
		t.Helper()
		got := make(map[string]bool)
		for p := range want {
			_, got[p] = l.dirs.Peek(p)
		}
		if diff := cmp.Diff(want, got); diff != "" || l.Len() != wantLen {
			t.Errorf("%d entries, want %d; cached (-want +got):\n%s", l.Len(), wantLen, diff)
		}
	}
	mustLoad(t, l, "/a", "1", "2")
	mustLoad(t, l, "/b", "1", "2")
	mustLoad(t, l, "/empty")
	mustLoad(t, l, "/a") // used last
	mustLoad(t, l, "/c", "1", "2", "3")
	check(6, map[string]bool{"/a": true, "/b": false, "/empty": true, "/c": true})
	l.Change("/c", func(d *Dir) { d.Set(conn.Entry{Name: "4"}) })
	check(6, map[string]bool{"/a": true, "/empty": false, "/c": true})
	mustLoad(t, l, "/large", "1", "2", "3", "4", "5", "6", "7", "8")
	check(8, map[string]bool{"/a": false, "/c": false, "/large": true})
	l.Forget("/large")
	check(0, map[string]bool{"/large": false})
}

func TestListingsTrees(t *testing.T) {
	fill := func() *Listings {
		l := NewListings(100, time.Hour)
		for _, p := range []string{"/", "/a", "/a/x", "/a/x/y", "/ab", "/b", "/b/z"} {
			mustLoad(t, l, p, "n")
		}
		return l
	}
	for _, tc := range []struct {
		name string
		do   func(*Listings)
		want []string
	}{
		{"forget", func(l *Listings) { l.Forget("/a") }, []string{"/", "/a/x", "/a/x/y", "/ab", "/b", "/b/z"}},
		{"tree", func(l *Listings) { l.ForgetTree("/a") }, []string{"/", "/ab", "/b", "/b/z"}},
		{"root", func(l *Listings) { l.ForgetTree("/") }, nil},
		{"all", func(l *Listings) { l.ForgetAll() }, nil},
		{"rename", func(l *Listings) { l.Rename("/a", "/new") }, []string{"/", "/ab", "/b", "/b/z", "/new", "/new/x", "/new/x/y"}},
		{"rename over", func(l *Listings) { l.Rename("/a", "/b") }, []string{"/", "/ab", "/b", "/b/x", "/b/x/y"}},
		{"rename to itself", func(l *Listings) { l.Rename("/a", "/a") }, []string{"/", "/a", "/a/x", "/a/x/y", "/ab", "/b", "/b/z"}},
	} {
		l := fill()
		tc.do(l)
		var got []string
		for _, p := range []string{"/", "/a", "/a/x", "/a/x/y", "/ab", "/b", "/b/x", "/b/x/y", "/b/z", "/new", "/new/x", "/new/x/y"} {
			if _, ok := l.Peek(p); ok {
				got = append(got, p)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || l.Len() != len(tc.want) {
			t.Errorf("%s: %d entries (-want +got):\n%s", tc.name, l.Len(), diff)
		}
	}
}
