package cache

import (
	"testing"

	"ftpfs/conn"
)

func TestOtherCase(t *testing.T) {
	d := newDir(conn.Listing{Entries: []conn.Entry{{Name: "Readme"}, {Name: "both"}, {Name: "BOTH"}, {Name: "gone"}, {Name: "Ärger"}}}, Entries{})
	d.Set(conn.Entry{Name: "New"})
	d.Delete("gone")
	for name, want := range map[string]string{
		"readme": "Readme", "README": "Readme", "Readme": "", "both": "", "BOTH": "", "NEW": "New", "New": "", "GONE": "", "gone": "", "ärger": "Ärger", "other": "",
	} {
		if got, ok := d.OtherCase(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}
