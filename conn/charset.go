package conn

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// escapeMark begins what a byte is shown as that is no character of the
// charset: with its two hexadecimal digits in upper case, as rclone shows it.
const escapeMark = '‛' // U+201B

// Charset is how a server writes names. A nil one is UTF-8: bytes are taken as
// they are, also where they are not UTF-8. With any other one, names here are
// UTF-8, and every string of bytes has one form here, which becomes the same
// bytes again: what is no character, or is another way to write one, is
// shown as "‛" and two hexadecimal digits for each byte.
type Charset struct {
	name string
	enc  encoding.Encoding
}

// ParseCharset returns the charset with a name of IANA's or of the web's
// (https://encoding.spec.whatwg.org), in any case: "GBK", "Shift_JIS", "EUC-KR",
// "windows-1251", "latin1". "" and "UTF-8" are nil. Charsets in which ASCII is
// not ASCII, such as UTF-16 and ISO-2022-JP, cannot be used for FTP.
func ParseCharset(name string) (*Charset, error) {
	label := strings.TrimSpace(name)
	if label == "" || strings.EqualFold(label, "UTF-8") || strings.EqualFold(label, "UTF8") {
		return nil, nil
	}
	enc, err := ianaindex.IANA.Encoding(label)
	if err != nil || enc == nil { // known, perhaps, but not to this library
		enc, err = htmlindex.Get(strings.ReplaceAll(strings.ToLower(label), "shift-jis", "shift_jis"))
	}
	if err != nil {
		return nil, fmt.Errorf("the charset %q is not known: give a name such as GBK, Shift_JIS, EUC-KR, windows-1251 or latin1", name)
	}
	c := &Charset{label, enc}
	for b := byte(1); b < utf8.RuneSelf; b++ {
		if r, n := c.character(enc.NewDecoder(), string(b)); n != 1 || r != rune(b) {
			return nil, fmt.Errorf("the charset %q cannot be used: FTP needs one that has ASCII in it, such as GBK, Shift_JIS or windows-1251", name)
		}
	}
	return c, nil
}

// String returns the name that the user gave; "UTF-8" for a nil Charset.
func (c *Charset) String() string {
	if c == nil {
		return "UTF-8"
	}
	return c.name
}

// Decode returns what the server wrote as it is shown here.
func (c *Charset) Decode(wire string) string {
	if c == nil || isASCII(wire) {
		return wire
	}
	var b strings.Builder
	dec, enc := c.enc.NewDecoder(), c.enc.NewEncoder()
	for i := 0; i < len(wire); {
		if wire[i] < utf8.RuneSelf {
			b.WriteByte(wire[i])
			i++
			continue
		}
		r, n := c.character(dec, wire[i:])
		if back, err := enc.String(string(r)); n > 0 && r != escapeMark && err == nil && back == wire[i:i+n] {
			b.WriteRune(r)
			i += n
			continue
		}
		fmt.Fprintf(&b, "%c%02X", escapeMark, wire[i])
		i++
	}
	return b.String()
}

// maxCharacter is how many bytes a character has at most, in GB18030.
const maxCharacter = 4

// character decodes the first character of wire. n is 0 if that is none.
func (c *Charset) character(dec *encoding.Decoder, wire string) (r rune, n int) {
	for n = 1; n <= min(maxCharacter, len(wire)); n++ {
		text, err := dec.String(wire[:n])
		r, size := utf8.DecodeRuneInString(text)
		if err == nil && r != utf8.RuneError && size == len(text) {
			return r, n
		}
	}
	return utf8.RuneError, 0
}

// Encode returns what is written here as the server wants it. The error wraps
// ErrEncoding; it does not quote the text, which may be a password.
func (c *Charset) Encode(text string) (wire string, err error) {
	if c == nil || isASCII(text) {
		return text, nil
	}
	var b strings.Builder
	enc := c.enc.NewEncoder()
	for rest := text; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r < utf8.RuneSelf:
			b.WriteByte(rest[0])
		case r == escapeMark:
			raw, err := hex.DecodeString(rest[n:min(n+2, len(rest))])
			if err != nil || len(raw) != 1 {
				return "", c.noForm()
			}
			b.WriteByte(raw[0])
			n += 2
		default:
			char, err := enc.String(rest[:n])
			if err != nil {
				return "", c.noForm()
			}
			b.WriteString(char)
		}
		rest = rest[n:]
	}
	// What would come back as another name must not be made.
	if c.Decode(b.String()) != text {
		return "", c.noForm()
	}
	return b.String(), nil
}

func (c *Charset) noForm() error { return fmt.Errorf("%w (%s)", ErrEncoding, c.name) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
