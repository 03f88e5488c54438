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
		const files, each = 100, 3 * rtt
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
			time.Sleep(each)
		}
		if n, most := s.Count("MLSD"), 1+int(files*each/(time.Second/2)); n > most {
			t.Errorf("%d listings, want %d at most", n, most)
		}
		makeFiles(t, s.Root, "d/made-elsewhere")
		time.Sleep(time.Second)
		if e, err := tr.Vacant(context.Background(), "/d/made-elsewhere"); err != nil {
			t.Errorf("what was made elsewhere a second ago: %v, %v", e, err)
		}
	})
}
