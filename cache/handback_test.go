package cache

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What mounts that died have, and what was refused, is listed and moved; what
// a live mount has is listed and stays.
func TestLeftoversAreHandedBack(t *testing.T) {
	disk := newMemDisk()
	dead := openStore(t, disk, "/cache")
	seal(t, dead, "/d/pending", "pending")
	_, err := seal(t, dead, "/d/refused", "refused").Refuse("no space")
	must(t, err)
	c := newCopy(t, dead, "swap")
	_, err = dead.Seal("/d/.x.swp", c, Attrs{Local: true})
	must(t, err)
	must(t, c.Close())
	disk.restart(false, nil)
	live := openStore(t, disk, "/cache")
	seal(t, live, "/d/pending", "of the live one")
	must(t, disk.Mkdir("/out", 0o700))
	must(t, mkdirAll(disk, "/out/"+testIdentity+"/d"))
	must(t, writeFile(disk, "/out/"+testIdentity+"/d/refused", []byte("taken")))

	o := Options{Disk: disk}
	left, err := Leftovers("/cache", o)
	must(t, err)
	ofLive := Left{Path: "/d/pending", Size: 15, Mounted: true}
	want := []Left{ofLive, {Path: "/d/pending", Size: 7}, {Path: "/d/.x.swp", Size: 4, Local: true}, {Path: "/d/refused", Size: 7, Reason: "no space"}}
	byPath := cmpopts.SortSlices(func(a, b Left) bool { return a.Path+a.Reason < b.Path+b.Reason || a.Path == b.Path && a.Size < b.Size })
	unstable := cmpopts.IgnoreFields(Left{}, "Identity", "Time")
	if diff := cmp.Diff(want, left, byPath, unstable); diff != "" {
		t.Errorf("leftovers (-want +got):\n%s", diff)
	}

	var files []string
	must(t, HandBack("/cache", "/out", o, func(_ Left, file string) { files = append(files, file) }))
	got := map[string]string{}
	for _, name := range files {
		text, err := readFile(disk, name)
		must(t, err)
		got[name] = string(text)
	}
	dir := "/out/" + testIdentity + "/d/"
	if diff := cmp.Diff(map[string]string{dir + "pending": "pending", dir + ".x.swp": "swap", dir + "refused.2": "refused"}, got); diff != "" {
		t.Errorf("handed back (-want +got):\n%s", diff)
	}
	left, err = Leftovers("/cache", o)
	must(t, err)
	if diff := cmp.Diff([]Left{ofLive}, left, unstable); diff != "" {
		t.Errorf("leftovers afterwards (-want +got):\n%s", diff)
	}
}

func TestLeftoversOfNoCache(t *testing.T) {
	if left, err := Leftovers("/none", Options{Disk: newMemDisk()}); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
