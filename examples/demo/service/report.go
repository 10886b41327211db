package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const (
	reportOrders   = 400
	reportProducts = 90
)

type order struct {
	number  int
	product string
	cents   int
}

// handleReport renders the day's orders.  Nothing of it outlives the request, so it is no leak,
// but each step allocates far more than it must.
func (s *shop) handleReport(w http.ResponseWriter, r *http.Request) {
	orders := collectOrders(reportOrders)
	revenue := revenueByProduct(orders)
	io.WriteString(w, renderReport(orders))
	fmt.Fprintf(w, "%d products sold\n", len(revenue))
}

// collectOrders lets append grow the slice step by step, copying all orders each time.
func collectOrders(count int) []order {
	var orders []order
	for i := 0; i < count; i++ {
		orders = append(orders, order{
			number:  i,
			product: "product-" + strconv.Itoa(i%reportProducts),
			cents:   199 + 7*i,
		})
	}
	return orders
}

// revenueByProduct lets the map grow from nothing, moving its entries at each step.
func revenueByProduct(orders []order) map[string]int {
	revenue := map[string]int{}
	for _, o := range orders {
		revenue[o.product] += o.cents
	}
	return revenue
}

// renderReport adds line to line with +=: each addition copies the whole report so far.
func renderReport(orders []order) string {
	report := ""
	for _, o := range orders {
		report += "order " + strconv.Itoa(o.number) + ": " + o.product + " for " +
			strconv.Itoa(o.cents) + " cents\n"
	}
	return report
}
