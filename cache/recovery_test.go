package cache

import (
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
)

func TestRefuse(t *testing.T) {
	s := openStore(t, osDisk{}, t.TempDir())
	long := strings.Repeat("ü", 120) + ".jpeg"
	c := newCopy(t, s, "bytes")
	v, err := s.Seal("/d/"+long, c, Attrs{Base: conn.Version{State: conn.Absent}})
	must(t, err)
	where, err := v.Refuse("550 no permission")
	must(t, err)
	if got := path.Base(where); len(got) > 250 || !strings.HasSuffix(got, ".jpeg") {
		t.Errorf("name %q", got)
	}
	if _, err := c.WriteAt([]byte("more!!"), 3); err != nil { // goes on with a clone
		t.Fatal(err)
	}
	if got := copyContent(t, c); got != "bytmore!!" {
		t.Errorf("the copy has %q", got)
	}
	must(t, c.Close())
	seal(t, s, "/d/"+long, "others").Refuse("again")
	want := []string{"/d/" + long + "=bytes (550 no permission)", "/d/" + long + "=others (again)"}
	if diff := cmp.Diff(want, recoveredOf(t, s), sortStrings); diff != "" {
		t.Errorf("recovery (-want +got):\n%s", diff)
	}
	list, err := s.Recovery()
	must(t, err)
	if list[0].Base.State != conn.Absent || list[0].Time.IsZero() || list[0].Size != 5 {
		t.Errorf("described as %+v", list[0])
	}
	info, err := os.Stat(where)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	wantPending(t, s)
}

// What is called like the description of another file overwrites nothing.
func TestRecoveryNamesDoNotClash(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	for range 3 {
		for _, p := range []string{"/x.json", "/x", "/x.json.json"} {
			_, err := seal(t, s, p, p).Refuse("r")
			must(t, err)
		}
	}
	if got := recoveredOf(t, s); len(got) != 9 {
		t.Errorf("recovery has %q", got)
	}
}

func TestDirtyClose(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	write := func(p, text string) *Copy {
		c := newCopy(t, s, "")
		must(t, s.Dirty(p, c))
		must(t, s.Dirty(p, c))
		_, err := c.WriteAt([]byte(text), 0)
		must(t, err)
		return c
	}
	must(t, write("/lost", "L").Close())
	given := write("/given-up", "G")
	must(t, s.Clean(given))
	must(t, given.Close())
	gone := write("/gone", "U")
	must(t, s.Unlink("/gone"))
	must(t, gone.Close())
	sealed := write("/sealed", "S")
	_, err := s.Seal("/sealed", sealed, Attrs{})
	must(t, err)
	must(t, s.Dirty("/sealed", sealed))
	_, err = sealed.WriteAt([]byte("tail"), 1)
	must(t, err)
	must(t, sealed.Close())
	want := []string{"/lost=L (closed with changes that were not sealed)",
		"/sealed=Stail (closed with changes that were not sealed)"}
	if diff := cmp.Diff(want, recoveredOf(t, s), sortStrings); diff != "" {
		t.Errorf("recovery (-want +got):\n%s", diff)
	}
	wantPending(t, s, "/sealed=S")
}
