package tree_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftp"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/tree"
)

const rtt = 20 * time.Millisecond

// distant runs fn in a bubble, with a server that is rtt away and holds the
// files. The tree has sessions at most.
func distant(t *testing.T, sessions int, files []string, fn func(s *ftptest.Server, tr *tree.Tree)) {
	t.Helper()
	distantWith(t, sessions, tree.Options{}, files, fn)
}

func distantWith(t *testing.T, sessions int, o tree.Options, files []string, fn func(s *ftptest.Server, tr *tree.Tree)) {
	t.Helper()
	root := t.TempDir()
	makeFiles(t, root, files...)
	synctest.Test(t, func(t *testing.T) {
		s := ftptest.Start(t, ftptest.WithNetwork(ftptest.NewNetwork(rtt)), ftptest.WithRoot(root))
		cfg, err := conn.ParseURL(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		cfg.Dial = s.Dial
		pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{Max: sessions})
		defer pool.Close()
		tr, err := tree.New(context.Background(), pool, "", o)
		if err != nil {
			t.Fatal(err)
		}
		s.ResetLog()
		fn(s, tr)
		time.Sleep(time.Minute) // what is listed ahead comes to its end
		synctest.Wait()
	})
}

// folders returns 1 + n + n*m directories, with a file in all but the first.
func folders(n, m int) (files []string) {
	for i := range n {
		files = append(files, fmt.Sprintf("top/d%02d/f", i))
		for j := range m {
			files = append(files, fmt.Sprintf("top/d%02d/e%02d/f", i, j))
		}
	}
	return files
}

// find lists dir and all below it, as find does, and returns their number.
func find(t *testing.T, tr *tree.Tree, dir string) int {
	t.Helper()
	entries, err := tr.List(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 1
	for _, e := range entries {
		if e.Kind == conn.KindDir {
			n += find(t, tr, path.Join(dir, e.Name))
		}
	}
	return n
}

// What is beside and above the directory where a walk began is not listed; a
// walk that begins elsewhere, while the first one goes on, is followed.
func TestWalkStaysWhereItBegan(t *testing.T) {
	files := append(folders(3, 3), "zoo/a/f", "zoo/b/f", "zoo/c/f", "zoo/d/e/f")
	distant(t, 8, files, func(s *ftptest.Server, tr *tree.Tree) {
		if _, err := tr.Lookup(context.Background(), "/top"); err != nil { // as a program that is given its path does
			t.Fatal(err)
		}
		find(t, tr, "/top")
		time.Sleep(time.Second)
		if n := s.Count("MLSD"); n != 1+13 {
			t.Errorf("%d listings of the root and 13 directories", n)
		}
		find(t, tr, "/zoo")
		if n := s.Count("MLSD"); n != 1+13+6 {
			t.Errorf("%d listings with 6 directories more", n)
		}
	})
}

// A walk over N directories takes as long as all sessions need for their
// listings, and each is listed once; also where the directories that are known
// are nearly through before there is another to look for more in.
func TestWalkIsListedAhead(t *testing.T) {
	const sessions = 8
	for _, shape := range [][2]int{{10, 10}, {4, 25}, {20, 4}} {
		inAll := 1 + shape[0] + shape[0]*shape[1]
		distant(t, sessions, folders(shape[0], shape[1]), func(s *ftptest.Server, tr *tree.Tree) {
			began := time.Now()
			if n := find(t, tr, "/top"); n != inAll {
				t.Errorf("found %d directories", n)
			}
			took := time.Since(began)
			t.Logf("%d listings over %d sessions took %v", inAll, sessions, took)
			const perListing, start = 3 * rtt, 6 * rtt // two listings before the walk is known, and a login
			const order = rtt                          // what comes about in the same moment does so in any order; a session less would cost six
			if most := time.Duration(inAll+sessions-1)/sessions*perListing + start + order; took > most {
				t.Errorf("%v: took %v, want %v at most", shape, took, most)
			}
			if n := s.Count("MLSD"); n != inAll {
				t.Errorf("%v: %d listings of %d directories", shape, n, inAll)
			}
			began = time.Now()
			find(t, tr, "/top")
			if again := time.Since(began); again != 0 || s.Count("MLSD") != inAll {
				t.Errorf("%v, again: took %v, %d listings", shape, again, s.Count("MLSD"))
			}
		})
	}
}

// Who lists one directory gets no others listed, and a walk that stops is
// followed no further than the bound.
func TestWalkThatStops(t *testing.T) {
	distant(t, 8, folders(10, 10), func(s *ftptest.Server, tr *tree.Tree) {
		list := func(dir string) {
			t.Helper()
			if _, err := tr.List(context.Background(), dir); err != nil {
				t.Fatal(err)
			}
		}
		list("/top")
		time.Sleep(time.Minute)
		if n := s.Count("MLSD"); n != 1 {
			t.Errorf("%d listings of one directory", n)
		}
		s.ResetLog()
		list("/top")
		list("/top/d00")
		time.Sleep(time.Minute)
		if n := s.Count("MLSD"); n < 10 || n > 2+32 {
			t.Errorf("%d listings after a walk that stopped", n)
		}
	})
}

// A listing ahead that hangs is given up when the walk stops.
func TestWalkIsCancelled(t *testing.T) {
	distant(t, 8, folders(3, 3), func(s *ftptest.Server, tr *tree.Tree) {
		defer s.Fault(ftptest.StallData("MLSD", 0).OnArg("/top/d01"))()
		ctx := context.Background()
		for _, dir := range []string{"/top", "/top/d00"} {
			if _, err := tr.List(ctx, dir); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.ResetLog()
		if n := find(t, tr, "/top/d00"); n != 4 || s.Count("MLSD") != 0 {
			t.Errorf("%d directories, %d listings", n, s.Count("MLSD"))
		}
	})
}

// Who waits for a listing of somebody else that gets no answer does not ask
// again: that would be a second deadline.
func TestStalledListingIsWaitedForOnce(t *testing.T) {
	distant(t, 8, folders(1, 1), func(s *ftptest.Server, tr *tree.Tree) {
		defer s.Fault(ftptest.StallData("MLSD", 0))()
		began := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				_, err := tr.List(context.Background(), "/top")
				if took := time.Since(began); !errors.Is(err, conn.ErrTimeout) || took > 31*time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		wg.Wait()
	})
}

// A session that ends while it lists ahead is no error of who waits for that.
func TestWalkOverBrokenSessions(t *testing.T) {
	distant(t, 4, folders(4, 4), func(s *ftptest.Server, tr *tree.Tree) {
		defer s.Fault(ftptest.DropBefore("MLSD").Times(5).OnSession(2))()
		if n := find(t, tr, "/top"); n != 21 {
			t.Errorf("found %d directories", n)
		}
	})
}

// A directory that vanishes, or cannot be read, in the middle of a walk
// concerns nobody else, and is tried once.
func TestDirectoryVanishesInAWalk(t *testing.T) {
	distant(t, 4, folders(4, 4), func(s *ftptest.Server, tr *tree.Tree) {
		list := func(dir string) error { _, err := tr.List(context.Background(), dir); return err }
		if err := list("/top"); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(s.Root, "top/d01")); err != nil {
			t.Fatal(err)
		}
		for dir, gone := range map[string]bool{"/top/d00": false, "/top/d01": true, "/top/d02": false} {
			if err := list(dir); (err != nil) != gone {
				t.Errorf("%s: %v", dir, err)
			}
		}
	})
}
