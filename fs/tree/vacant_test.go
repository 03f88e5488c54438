package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/tree"
)

// Who creates one file after the other waits for no listing but the first,
// and is told nothing that is older than a second.
func TestNamesAreVacantWithoutWaiting(t *testing.T) {
	distant(t, 8, []string{"d/old"}, func(s *ftptest.Server, tr *tree.Tree) {
		const files = 100
		start := time.Now()
		ask := func(name string) time.Duration {
			began := time.Now()
			if _, err := tr.Vacant(context.Background(), "/d/"+name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
			return time.Since(began)
		}
		ask("first")
		for i := range files {
			name := fmt.Sprintf("f%03d", i)
			if took := ask(name); took > 0 {
				t.Errorf("%s: waited for %v", name, took)
			}
			tr.Put("/d/"+name, conn.Entry{Kind: conn.KindFile})
			time.Sleep(3 * rtt)
		}
		if n, most := s.Count("MLSD"), 1+int(time.Since(start)/(time.Second/2)); n > most {
			t.Errorf("%d listings, want %d at most", n, most)
		}
		makeFiles(t, s.Root, "d/made-elsewhere")
		time.Sleep(time.Second)
		if e, err := tr.Vacant(context.Background(), "/d/made-elsewhere"); err != nil {
			t.Errorf("what was made elsewhere a second ago: %v, %v", e, err)
		}
	})
}

// A newer listing tells what is vacant also if it came too late to be kept.
func TestVacantByTheNewestListing(t *testing.T) {
	distant(t, 8, []string{"d/old"}, func(s *ftptest.Server, tr *tree.Tree) {
		ask := func(name string) {
			if _, err := tr.Vacant(context.Background(), "/d/"+name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", name, err)
			}
			tr.Put("/d/"+name, conn.Entry{Kind: conn.KindFile})
		}
		ask("a")
		time.Sleep(600 * time.Millisecond)
		for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
			ask(name)
			time.Sleep(rtt)
		}
		if n := s.Count("MLSD"); n != 2 {
			t.Errorf("%d listings, want 2", n)
		}
	})
}
