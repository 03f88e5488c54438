package conn

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCharsetNames(t *testing.T) {
	for _, c := range []struct {
		charset, wire, text string
	}{
		{"latin1", "caf\xe9", "café"},
		{"ISO-8859-1", "\xff\x80", "ÿ\u0080"},
		{"windows-1252", "\x80 \x81", "€ ‛81"}, // 0x81 means nothing there
		{"windows-1251", "\xea\xf3\xf0\xfc\xff", "курья"},
		{"GBK", "\xc4\xe3\xba\xc3", "你好"},
		{"gbk", "\xc4\xe3\xba", "你‛BA"},             // cut
		{"GBK", "\xa2\xe3 \x80", "‛A2‛E3 €"},        // two ways to write a euro: one of them is shown as bytes
		{"gb18030", "\x81\x30\x81\x30", "\u0080"},   // four bytes
		{"Shift_JIS", "\x83\x5c\x95\x5c\\", "ソ表\\"}, // the second bytes are those of a backslash
		{"shift-jis", "\xb1\xb2", "ｱｲ"},             // one byte each
		{"EUC-KR", "\xc7\xd1\xb1\xdb", "한글"},
		{"big5", "\x88\x62", "‛88b"}, // two characters at once
		{"koi8-r", "\xcb\xcf", "ко"},
		{"UTF-8", "caf\xe9 é", "caf\xe9 é"},
		{"", "\xff", "\xff"},
	} {
		cs, err := ParseCharset(c.charset)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := cs.Decode(c.wire); got != c.text {
			t.Errorf("%s: %q is shown as %q, want %q", c.charset, c.wire, got, c.text)
		}
		if got, err := cs.Encode(c.text); got != c.wire || err != nil {
			t.Errorf("%s: %q is sent as %q (%v), want %q", c.charset, c.text, got, err, c.wire)
		}
	}
}

func TestCharsetRefuses(t *testing.T) {
	for _, c := range []struct{ charset, text string }{
		{"latin1", "日本"},
		{"GBK", "🙂"},
		{"GBK", "not UTF-8: \xc4\xe3"},
		{"GBK", "‛"}, // an escape that is cut
		{"GBK", "‛4"},
		{"GBK", "‛zz"},
		{"GBK", "‛41"},    // would come back as A
		{"GBK", "‛ba"},    // would come back as ‛BA
		{"GBK", "‛C4‛E3"}, // would come back as 你
		{"GBK", "‛C4a"},   // is a character, too
		{"GBK", "‛2F"},    // a slash
		{"GBK", "‛0D‛0A"},
		{"gb18030", "‛"},
	} {
		cs, err := ParseCharset(c.charset)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := cs.Encode(c.text)
		if !errors.Is(err, ErrEncoding) || got != "" {
			t.Errorf("%s: %q is sent as %q (%v), want ErrEncoding", c.charset, c.text, got, err)
		} else if strings.Contains(err.Error(), c.text) {
			t.Errorf("%q tells the text", err)
		}
	}
}

func TestParseCharset(t *testing.T) {
	for _, name := range []string{"UTF-8", "utf8", "", "GBK", "gbk", "gb2312", "GB18030", "big5", "Shift_JIS", "shift-jis", "sjis", "EUC-JP", "EUC-KR",
		"windows-1250", "windows-1251", "windows-1258", "cp1252", "latin1", "iso-8859-15", "koi8-u", "macintosh", "IBM850", "IBM866"} {
		if _, err := ParseCharset(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"klingon", "UTF-16", "utf-16le", "UTF-32", "ISO-2022-JP", "HZ-GB-2312", "UTF-7", "IBM037", "replacement", "x-user-defined "} {
		if c, err := ParseCharset(name); err == nil && name != "x-user-defined " {
			t.Errorf("%q is taken, as %v", name, c)
		}
	}
}

// charsetsTested are one of each kind: one byte, with gaps, two, one to four.
var charsetsTested = []string{"", "latin1", "windows-1251", "windows-1252", "windows-874", "GBK", "gb18030", "big5", "Shift_JIS", "EUC-JP", "EUC-KR"}

// checkRoundTrip fails the test unless bytes of a server come back to it as
// they were, by a name that is UTF-8.
func checkRoundTrip(t interface{ Fatalf(string, ...any) }, c *Charset, wire string) {
	text := c.Decode(wire)
	if c != nil && !utf8.ValidString(text) {
		t.Fatalf("%v: %q is shown as %q, which is not UTF-8", c, wire, text)
	}
	if back, err := c.Encode(text); err != nil || back != wire {
		t.Fatalf("%v: %q is shown as %q and sent as %q (%v)", c, wire, text, back, err)
	}
	if strings.Count(text, "/") != strings.Count(wire, "/") || strings.Count(text, "\n") != strings.Count(wire, "\n") {
		t.Fatalf("%v: %q and %q differ in slashes or line ends", c, wire, text)
	}
}

func TestCharsetRoundTrips(t *testing.T) {
	for _, name := range charsetsTested {
		c, err := ParseCharset(name)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, c, string(rapid.SliceOf(rapid.Byte()).Draw(t, "name"))) })
		// And what was typed here is sent in a form that is read as the same, or not at all.
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("‛0123456789ABCDEFé你я/")))).Draw(t, "text")
			if wire, err := c.Encode(text); err == nil && c.Decode(wire) != text {
				t.Fatalf("%v: %q is sent as %q and shown as %q", c, text, wire, c.Decode(wire))
			}
		})
	}
}

func FuzzCharset(f *testing.F) {
	for i := range charsetsTested {
		f.Add(i, "caf\xe9 \xc4\xe3\x81\x30\x81\x30\xff\x80")
		f.Add(i, "‛‛C4\xff")
	}
	f.Fuzz(func(t *testing.T, i int, wire string) {
		c, err := ParseCharset(charsetsTested[uint(i)%uint(len(charsetsTested))])
		if err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, c, wire)
	})
}
