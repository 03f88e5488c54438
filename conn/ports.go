package conn

import (
	"errors"
	"strconv"
	"strings"
)

// PortRange is the TCP ports from Low to High; the zero value is any.
type PortRange struct{ Low, High uint16 }

// ParsePortRange reads "LOW-HIGH" or one port.
func ParsePortRange(s string) (PortRange, error) {
	low, high, ok := strings.Cut(s, "-")
	if !ok {
		high = low
	}
	l, err1 := strconv.ParseUint(low, 10, 16)
	h, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || l == 0 || l > h {
		return PortRange{}, errors.New("want ports such as 50000-50100")
	}
	return PortRange{uint16(l), uint16(h)}, nil
}
