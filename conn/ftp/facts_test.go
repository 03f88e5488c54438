package ftp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// What was found out long ago, of another server, or cannot be read, is not
// known.
func TestFactsThatDoNotCount(t *testing.T) {
	srv := ftptest.Start(t)
	cfg := configOf(srv)
	cfg.FactsFile = filepath.Join(t.TempDir(), "facts")
	if _, err := openWith(t, cfg).TryOut(bg, "/scratch"); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(cfg.FactsFile)
	if err != nil {
		t.Fatal(err)
	}
	_, when, _ := strings.Cut(string(kept), `"Tried":"`)
	when, _, _ = strings.Cut(when, `"`)
	for content, want := range map[string]bool{
		string(kept): true,
		strings.ReplaceAll(string(kept), when, "2020-01-02T03:04:05Z"): false,
		strings.ReplaceAll(string(kept), when, "2099-01-02T03:04:05Z"): false,
		strings.ReplaceAll(string(kept), "EPSV", "XPSV"):               false,
		`{`: false, ``: false, `{"Facts":{}}`: false,
	} {
		if err := os.WriteFile(cfg.FactsFile, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if a, tried := openWith(t, cfg).Abilities(); tried != want || a.Appends != want {
			t.Errorf("%s: %+v, %v", content, a, tried)
		}
	}
}

// What LIST -a shows is tried once, not in every mount.
func TestListAllIsKept(t *testing.T) {
	for takesIt, lists := range map[bool]int{true: 2 + 1, false: 2 + 1} { // LIST -a, LIST; then the right one
		srv := ftptest.Start(t)
		fill(t, srv, map[string]string{"a": "", "b": ""})
		srv.Fault(ftptest.NoMLSD())
		if !takesIt {
			srv.Fault(ftptest.Listing("").OnArg("-a"))
		}
		cfg := configOf(srv)
		cfg.FactsFile = filepath.Join(t.TempDir(), "facts")
		for range 2 { // each as another mount does
			if got := names(t, openWith(t, cfg), "/"); len(got) != 2 {
				t.Errorf("got %q", got)
			}
		}
		if n := srv.Count("LIST"); n != lists {
			t.Errorf("it takes -a: %v: %d times LIST, want %d", takesIt, n, lists)
		}
	}
}

// Whether MDTM sets times is learned from the first file that is uploaded to a
// name of ours, and from no other: somebody else's may refuse it.
func TestMDTMTimesAreKept(t *testing.T) {
	for refuses, c := range map[bool]struct {
		path string
		want error // of SetTime in the next mount
	}{
		true:  {"/temp", errors.ErrUnsupported},
		false: {"/final", os.ErrNotExist}, // it is tried again
	} {
		srv := ftptest.Start(t)
		srv.Fault(ftptest.ReplaceReply("FEAT", 211, 211, "Features:\n MDTM\n SIZE\nEnd"))
		cfg := configOf(srv)
		cfg.FactsFile = filepath.Join(t.TempDir(), "facts")
		_, err := store(openWith(t, cfg), c.path, "content", func(c *conn.Commit) {
			c.Time = someTime
			if refuses {
				c.RenameTo = "/final"
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		srv.ResetLog()
		err = openWith(t, cfg).SetTime(bg, "/final", someTime)
		if sent := srv.Count("MDTM") > 0; !errors.Is(err, c.want) || sent != (c.want != errors.ErrUnsupported) {
			t.Errorf("%s: %v, sent: %v", c.path, err, sent)
		}
		if !refuses {
			continue
		}
		if kept, err := os.ReadFile(cfg.FactsFile); err != nil || !strings.Contains(string(kept), fmt.Sprintf("%q:{\"Yes\":false", mdtmTimes)) {
			t.Errorf("%s, %v", kept, err)
		}
	}
}
