package main

import (
	"encoding/json"
	"log"
	"net/http"
	"strconv"
)

type product struct {
	Name  string `json:"name"`
	Cents int    `json:"cents"`
	Stock int    `json:"stock"`
}

// catalog is built once and only read afterwards.
type catalog struct {
	Products []product `json:"products"`
}

func newCatalog() *catalog {
	const size = 20
	c := &catalog{Products: make([]product, 0, size)}
	for i := 0; i < size; i++ {
		c.Products = append(c.Products, product{
			Name: "product-" + strconv.Itoa(i), Cents: 199 + 50*i, Stock: 3 * i})
	}
	return c
}

func (s *shop) handleCatalog(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.catalog); err != nil {
		log.Printf("catalog to %s: %v", r.RemoteAddr, err)
	}
}
