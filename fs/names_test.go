package fs_test

import (
	"os"
	"slices"
	"testing"

	"ftpfs/conn/ftptest"
	"ftpfs/conn/ftptest/server"
	"ftpfs/fs"
)

// names fails unless the server has these names, and the mount shows them.
func (r *mounted) names(want ...string) {
	r.Helper()
	all, err := os.ReadDir(r.srv.Root)
	if err != nil {
		r.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.Name())
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		r.Errorf("the server has %q, want %q", got, want)
	}
	shown := ""
	for _, name := range want {
		shown += name + "\n"
	}
	if got := r.sh("LC_ALL=C ls; echo ."); got != shown+"." {
		r.Errorf("the mount shows %q, want %q", got, want)
	}
}

// On a server that finds names in any case there is one file of a name, however
// it is spelled.
func TestServerWithoutCase(t *testing.T) {
	r := mountWith(t, fs.Options{}, ftptest.WithConfig(func(c *server.Config) { c.FoldCase = true }))
	r.put("Readme.txt", "hello")
	if got := r.sh("cat README.TXT readme.txt Readme.txt"); got != "hellohellohello" {
		t.Errorf("it reads %q", got)
	}
	r.names("Readme.txt")
	r.sh("printf more >> README.txt; printf new > new; printf other > NEW; sleep 1.1; printf third > New; cat new; test $(stat -c %s nEW) = 5")
	r.drain()
	r.has("Readme.txt", "hellomore")
	r.has("new", "third")
	r.names("Readme.txt", "new")
	r.sh("! mkdir NEW; mkdir dir; ! mkdir Dir; printf x > DIR/f; cat dir/F; ! (set -C; echo > dir/F)")
	r.drain()
	r.names("Readme.txt", "dir", "new")
	r.has("dir/f", "x")
	// Only the case changes.
	r.sh("mv new New; cat New new")
	r.names("New", "Readme.txt", "dir")
	r.sh("mv -T dir DIR; cat DIR/f Dir/F; mv DIR/F dir/g; ls DIR")
	r.names("DIR", "New", "Readme.txt")
	r.has("DIR/g", "x")
	r.sh("! mv DIR dir/below 2>/dev/null") // EINVAL: the kernel takes them for two
	// What is replaced is what is there.
	r.sh("printf y > y; mv y NEW; cat new; rm README.TXT; ! test -e Readme.txt; rm -r dir; ! ls DIR")
	r.drain()
	r.names("New")
	r.has("New", "y")
}

// On others names of different case are different files, and only the first
// of them costs a question.
func TestServerWithCase(t *testing.T) {
	r := mount(t)
	r.put("a", "small")
	r.sh("ls > /dev/null; ! test -e A; printf large > A; printf b > b; printf B > B; cat a A b B; mv a x; ! test -e a; rm B")
	r.drain()
	r.names("A", "b", "x")
	r.has("A", "large")
	r.has("x", "small")
	r.sh("ls > /dev/null")
	r.srv.ResetLog()
	r.sh("! test -e X; ! test -e a")
	if n := len(r.srv.Log()); n != 0 {
		t.Errorf("it was asked again: %v", r.srv.Log())
	}
}
