package ftp

import (
	"strings"
	"testing"

	"ftpfs/conn/wire"
)

// Whatever a server offers, a name of it is a word, and what OPTS MLST sends
// back is one line.
func FuzzFeatures(f *testing.F) {
	f.Add("Features:\n MLST type*;size*;\n UTF8\nEnd")
	f.Add("211-Features:\n211-MLST \n SIZE\n\n REST STREAM\n End")
	f.Add("a\nb")
	f.Add("a\n MLST a b*;;\n\nb")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")
		feat := parseFeatures(wire.Reply{Code: 211, Lines: lines})
		for verb := range feat {
			if verb == "" || strings.ContainsAny(verb, " \n") || verb != strings.ToUpper(verb) {
				t.Errorf("%q of %q", verb, text)
			}
		}
		if facts := feat.facts(); facts != "" && (!strings.HasSuffix(facts, ";") || strings.ContainsAny(facts, "*\n")) {
			t.Errorf("facts %q of %q", facts, text)
		}
	})
}
