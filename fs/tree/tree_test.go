package tree_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ftpfs/conn"
	"ftpfs/conn/ftp"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a server with the given files (names ending in "/" are
// directories) and the tree on it, with an empty command log.
func start(t *testing.T, files ...string) (*ftptest.Server, *tree.Tree) {
	t.Helper()
	s := ftptest.Start(t)
	makeFiles(t, s.Root, files...)
	return s, open(t, s)
}

// makeFiles makes files below root, directories where names end in "/". A
// file holds its name.
func makeFiles(t *testing.T, root string, files ...string) {
	t.Helper()
	for _, f := range files {
		p := filepath.Join(root, f)
		var err error
		if strings.HasSuffix(f, "/") {
			err = os.MkdirAll(p, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(p), 0o755); err == nil {
			err = os.WriteFile(p, []byte(f), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, s *ftptest.Server) *tree.Tree {
	t.Helper()
	return openWith(t, s, tree.Options{})
}

func openWith(t *testing.T, s *ftptest.Server, o tree.Options) *tree.Tree {
	t.Helper()
	cfg, err := conn.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{})
	t.Cleanup(func() { pool.Close() })
	tr, err := tree.New(t.Context(), pool, "", o)
	if err != nil {
		t.Fatal(err)
	}
	s.ResetLog()
	return tr
}

func names(t *testing.T, tr *tree.Tree, dir string) []string {
	t.Helper()
	entries, err := tr.List(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Name)
	}
	return out
}

// cost fails unless the server got exactly these commands of the ones that count.
func cost(t *testing.T, s *ftptest.Server, want ...string) {
	t.Helper()
	var got []string
	for _, c := range s.Log() {
		switch c.Verb {
		case "EPSV", "PASV", "USER", "PASS", "FEAT", "TYPE", "OPTS", "PWD", "SYST", "CWD", "QUIT":
		default:
			got = append(got, strings.TrimSpace(c.Verb+" "+c.Arg))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
}

func TestTwoStatsOneList(t *testing.T) {
	s, tr := start(t, "d/a", "d/b")
	for _, p := range []string{"/d/a", "/d/b"} {
		if e, err := tr.Lookup(t.Context(), p); err != nil || e.Kind != conn.KindFile || e.Size != 3 {
			t.Errorf("%s: %+v, %v", p, e, err)
		}
	}
	if _, err := tr.Lookup(t.Context(), "/d/absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	cost(t, s, "MLSD /d")
}

func TestRootIsCheckedOnce(t *testing.T) {
	s, _ := start(t, "file")
	cfg, err := conn.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{})
	defer pool.Close()
	for dir, want := range map[string]error{"absent": fs.ErrNotExist, "file": conn.ErrNotDir} {
		if _, err := tree.New(t.Context(), pool, dir, tree.Options{}); !errors.Is(err, want) {
			t.Errorf("root %q: %v, want %v", dir, err, want)
		}
	}
}

// What we change is seen at once, and costs no listing.
func TestOwnChangesAreSeenWithoutTraffic(t *testing.T) {
	s, tr := start(t, "d/a", "d/sub/")
	ctx := t.Context()
	names(t, tr, "/d")
	names(t, tr, "/d/sub")
	s.ResetLog()
	if _, err := tr.Mkdir(ctx, "/d/new"); err != nil {
		t.Fatal(err)
	}
	if err := tr.Rename(ctx, "/d/a", "/d/sub/b", false); err != nil {
		t.Fatal(err)
	}
	if err := tr.Chmod(ctx, "/d/sub/b", 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	if err := tr.SetTime(ctx, "/d/sub/b", at); err != nil {
		t.Fatal(err)
	}
	if got := names(t, tr, "/d"); !cmp.Equal(got, []string{"new", "sub"}) {
		t.Errorf("/d: %v", got)
	}
	e, err := tr.Lookup(ctx, "/d/sub/b")
	if err != nil || e.Mode != 0o600 || !e.Time.Equal(at.Truncate(time.Second)) {
		t.Errorf("%+v, %v", e, err)
	}
	if err := tr.Remove(ctx, "/d/sub/b"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, tr, "/d/sub"); len(got) != 0 {
		t.Errorf("/d/sub: %v", got)
	}
	cost(t, s, "MKD /d/new", "RNFR /d/a", "RNTO /d/sub/b", "SITE CHMOD 600 /d/sub/b", "MFMT 20010203040506 /d/sub/b", "DELE /d/sub/b")
}

// A directory that was made is empty, unless the server says so of one that
// was there.
func TestMadeDirectoryIsEmpty(t *testing.T) {
	for greeting, listings := range map[string]int{"ftpfs FTP server": 0, "Welcome to the Go FTP Server": 1} {
		s := ftptest.Start(t)
		makeFiles(t, s.Root, "d/")
		s.Fault(ftptest.ReplaceReply(ftptest.Greeting, 220, 220, greeting))
		tr := open(t, s)
		names(t, tr, "/d")
		s.ResetLog()
		if _, err := tr.Mkdir(t.Context(), "/d/new"); err != nil {
			t.Fatal(err)
		}
		if got := names(t, tr, "/d/new"); len(got) != 0 || s.Count("MLSD") != listings {
			t.Errorf("%s: %v, %d listings, want %d", greeting, got, s.Count("MLSD"), listings)
		}
	}
}

// A renamed directory keeps what is known of what is in it.
func TestRenamedDirectoryKeepsItsListings(t *testing.T) {
	s, tr := start(t, "d/sub/deep/f")
	names(t, tr, "/d")
	names(t, tr, "/d/sub/deep")
	s.ResetLog()
	if err := tr.Rename(t.Context(), "/d/sub", "/d/moved", false); err != nil {
		t.Fatal(err)
	}
	if got := names(t, tr, "/d/moved/deep"); !cmp.Equal(got, []string{"f"}) {
		t.Errorf("got %v", got)
	}
	cost(t, s, "RNFR /d/sub", "RNTO /d/moved")
}

func TestDeletingIsCareful(t *testing.T) {
	s, tr := start(t, "d/full/f", "d/empty/", "d/file")
	ctx := t.Context()
	names(t, tr, "/d/full")
	names(t, tr, "/d")
	s.ResetLog()
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"rmdir of a full directory", tr.Rmdir(ctx, "/d/full"), conn.ErrNotEmpty},
		{"rmdir of a file", tr.Rmdir(ctx, "/d/file"), conn.ErrNotDir},
		{"rmdir of nothing", tr.Rmdir(ctx, "/d/absent"), fs.ErrNotExist},
		{"unlink of a directory", tr.Remove(ctx, "/d/empty"), conn.ErrIsDir},
		{"unlink of nothing", tr.Remove(ctx, "/d/absent"), fs.ErrNotExist},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
	if s.Count("DELE") != 0 || s.Count("RMD") > 4 {
		t.Errorf("sent %v", s.Log())
	}
	s.ResetLog()
	if err := tr.Rmdir(ctx, "/d/empty"); err != nil {
		t.Error(err)
	}
	cost(t, s, "RMD /d/empty") // the server is known by now to refuse others
	if got := onDisk(t, s, "d"); !cmp.Equal(got, []string{"file", "full"}) {
		t.Errorf("left on the server: %v", got)
	}
}

// A server whose RMD removes trees is found out, and gets RMD only for what a
// listing made just before shows to be empty.
func TestRmdirOfServerThatRemovesTrees(t *testing.T) {
	s, tr := start(t, "d/full/", "d/empty/", "d/empty2/")
	defer s.Fault(ftptest.RemovesTrees())()
	ctx := t.Context()
	names(t, tr, "/d/full")
	if err := os.WriteFile(s.Root+"/d/full/f", []byte("somebody else's"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tr.Rmdir(ctx, "/d/full"); !errors.Is(err, conn.ErrNotEmpty) {
		t.Errorf("rmdir of a full directory: %v", err)
	}
	for _, d := range []string{"/d/empty", "/d/empty2"} {
		s.ResetLog()
		if err := tr.Rmdir(ctx, d); err != nil {
			t.Error(err)
		}
		if n := s.Count("MLSD"); n != 1 {
			t.Errorf("%d listings before RMD %s", n, d)
		}
	}
	if got := onDisk(t, s, "d"); !cmp.Equal(got, []string{"full"}) {
		t.Errorf("left on the server: %v", got)
	}
}

// onDisk returns the names in a directory on the server's disk.
func onDisk(t *testing.T, s *ftptest.Server, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Root, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRenameOver(t *testing.T) {
	for _, c := range []struct {
		from, to  string
		noReplace bool
		want      error
	}{
		{"/d/f", "/d/g", false, nil},
		{"/d/f", "/d/g", true, fs.ErrExist},
		{"/d/f", "/d/new", true, nil},
		{"/d/f", "/d/empty", false, conn.ErrIsDir},
		{"/d/sub", "/d/f", false, conn.ErrNotDir},
		{"/d/sub", "/d/empty", false, nil},
		{"/d/empty", "/d/sub", false, conn.ErrNotEmpty},
		{"/d/absent", "/d/new", false, fs.ErrNotExist},
	} {
		s, tr := start(t, "d/f", "d/g", "d/sub/x", "d/empty/")
		err := tr.Rename(t.Context(), c.from, c.to, c.noReplace)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s → %s: %v, want %v", c.from, c.to, err, c.want)
		}
		if _, statErr := os.Lstat(s.Root + c.from); c.from != "/d/absent" && (statErr == nil) == (err == nil) {
			t.Errorf("%s → %s: on the server: %v", c.from, c.to, statErr)
		}
	}
}

// A verb whose reply was lost is not repeated; what became of it is looked at.
func TestLostRepliesAreResolvedByLooking(t *testing.T) {
	s, tr := start(t, "d/f", "d/g", "d/empty/", "d/first/")
	ctx := t.Context()
	if err := tr.Rmdir(ctx, "/d/first"); err != nil { // after which RMD is not tried out any more
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb string
		do   func() error
	}{
		{"MKD", func() error { _, err := tr.Mkdir(ctx, "/d/new"); return err }},
		{"RNTO", func() error { return tr.Rename(ctx, "/d/f", "/d/h", false) }},
		{"DELE", func() error { return tr.Remove(ctx, "/d/g") }},
		{"RMD", func() error { return tr.Rmdir(ctx, "/d/empty") }},
	} {
		s.ResetLog()
		undo := s.Fault(ftptest.DropAfter(c.verb).Once())
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.verb, err)
		}
		undo()
		if n := s.Count(c.verb); n != 1 {
			t.Errorf("%s was sent %d times", c.verb, n)
		}
	}
	if got := names(t, tr, "/d"); !cmp.Equal(got, []string{"h", "new"}) {
		t.Errorf("got %v", got)
	}
	// And one that was not executed is done on another session.
	defer s.Fault(ftptest.DropBefore("DELE").Once())()
	if err := tr.Remove(ctx, "/d/h"); err == nil {
		t.Error("DELE of a session that ended before it was said to be done")
	}
	if got := names(t, tr, "/d"); !cmp.Equal(got, []string{"h", "new"}) {
		t.Errorf("got %v", got)
	}
}

// What is shown stays shown when the directory is listed again.
func TestShownFilesSurviveListings(t *testing.T) {
	_, tr := start(t, "d/a", "d/c")
	tr.Show("/d/b", conn.Entry{Kind: conn.KindFile, Size: 7})
	tr.Show("/d/a", conn.Entry{Kind: conn.KindFile, Size: 8})
	for range 2 {
		if got := names(t, tr, "/d"); !cmp.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %v", got)
		}
		if e, err := tr.Lookup(t.Context(), "/d/a"); err != nil || e.Size != 8 {
			t.Errorf("%+v, %v", e, err)
		}
		tr.ForgetAll()
	}
	if err := tr.Rename(t.Context(), "/d", "/e", false); err != nil {
		t.Fatal(err)
	}
	if e, err := tr.Lookup(t.Context(), "/e/b"); err != nil || e.Size != 7 {
		t.Errorf("after a rename: %+v, %v", e, err)
	}
	tr.Hide("/e/b")
	if _, err := tr.Lookup(t.Context(), "/e/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Hide: %v", err)
	}
}

// Where LIST shows minutes, times are made exact in one batch, and stay the
// same when the directory is listed again.
func TestMinuteTimesAreMadeExact(t *testing.T) {
	s, _ := start(t, "d/a", "d/b")
	at := time.Now().Add(-time.Hour).Truncate(time.Minute).Add(42 * time.Second)
	for _, f := range []string{"d/a", "d/b"} {
		if err := os.Chtimes(filepath.Join(s.Root, f), at, at); err != nil {
			t.Fatal(err)
		}
	}
	defer s.Fault(ftptest.NoMLSD())()
	tr := open(t, s)
	for range 2 {
		for _, p := range []string{"/d/a", "/d/b"} {
			if e, err := tr.Lookup(t.Context(), p); err != nil || !e.Time.Equal(at) || e.Precision != time.Second {
				t.Errorf("%s: %v (%v), %v; want %v", p, e.Time, e.Precision, err, at)
			}
		}
		if _, err := tr.Fresh(t.Context(), "/d/a"); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Count("MDTM"); n != 3 {
		t.Errorf("%d MDTM for two files, want 2, and one that finds out the zone of LIST", n)
	}
}

func TestBadLinesHideNoOthers(t *testing.T) {
	s, tr := start(t, "d/")
	defer s.Fault(ftptest.Listing("type=file;size=1; good\r\n" +
		"what is this\r\n" +
		"type=file;size=1; ../evil\r\n" +
		"type=file;size=1; a/b\r\n" +
		"type=dir; ..\r\n" +
		"type=file;size=2; also good\r\n"))()
	if got := names(t, tr, "/d"); !cmp.Equal(got, []string{"also good", "good"}) {
		t.Errorf("got %v", got)
	}
}

// A tree that is made before its server is up finds its root when it is.
func TestDelayedServer(t *testing.T) {
	s, _ := start(t, "sub/d/f")
	s.Stop()
	cfg, err := conn.ParseURL(s.URL() + "sub")
	if err != nil {
		t.Fatal(err)
	}
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{})
	defer pool.Close()
	if _, err := tree.New(t.Context(), pool, cfg.Path, tree.Options{}); !errors.Is(err, conn.ErrHostDown) {
		t.Errorf("without Delay: %v", err)
	}
	tr, err := tree.New(t.Context(), pool, cfg.Path, tree.Options{Delay: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.List(t.Context(), tr.Root()); !errors.Is(err, conn.ErrHostDown) {
		t.Errorf("before the server is up: %v", err)
	}
	if e, err := tr.Lookup(t.Context(), tr.Root()); err != nil || e.Kind != conn.KindDir {
		t.Errorf("the root itself: %+v, %v", e, err)
	}
	s.Restart()
	if got := names(t, tr, tr.Path("d")); !cmp.Equal(got, []string{"f"}) {
		t.Errorf("got %v", got)
	}
}
