package vsock

import "slices"

// fifo is a line: what comes first goes first.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(v T) {
	if f.head > 16 && f.head > len(f.items)/2 {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, v)
}

// front returns the first, of at least one.
func (f *fifo[T]) front() *T { return &f.items[f.head] }

// pop takes the first, of at least one.
func (f *fifo[T]) pop() T {
	var zero T
	v := f.items[f.head]
	f.items[f.head] = zero
	f.head++
	if f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	}
	return v
}

// all returns those in the line.
func (f *fifo[T]) all() []T { return f.items[f.head:] }

// keep drops those that are not to stay.
func (f *fifo[T]) keep(stays func(T) bool) {
	f.items = slices.DeleteFunc(f.all(), func(v T) bool { return !stays(v) })
	f.head = 0
}

func (f *fifo[T]) clear() {
	clear(f.items)
	f.items, f.head = f.items[:0], 0
}
