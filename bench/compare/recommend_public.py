#!/usr/bin/env python3
"""Yardstick of `relance recommend evaluate`: public methods on the same files, in numpy and scipy.

  recommend_public.py METHOD --orders FILE --carts FILE --until INSTANT --out FILE

METHOD is one of
  ease      EASE (Steck 2019), all weights, over the products of at least --least orders (default 20), ridge --ridge
  cosine    item-item cosine, 50 neighbours per product
  popular   best sellers of all time
  own       the customer's own purchases, halved every 90 days (for the task "next")

FILES are those of `relance recommend evaluate`: orders basket_id,customer_id,ts,items and carts
cart_id,task,basket_id,customer_id,context,targets, plain or .zst (the zstd program must be there). The answers are
cart_id,item in rank order, 6 each. CPU seconds of fitting and carts a second go to standard error.
"""
import argparse, collections, csv, datetime, io, subprocess, sys, time

import numpy as np
import scipy.sparse as sp

csv.field_size_limit(1 << 30)


def rows(path):
    if path.endswith(".zst"):
        raw = subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE).stdout
        return csv.DictReader(io.TextIOWrapper(raw, newline=""))
    return csv.DictReader(open(path, newline=""))


def read_orders(path, until):
    orders = [r for r in rows(path) if r["ts"] < until]
    index = {}
    for r in orders:
        for item in r["items"].split():
            index.setdefault(item, len(index))
    where = [(b, index[i]) for b, r in enumerate(orders) for i in set(r["items"].split())]
    b, i = np.array(where).T
    return orders, index, sp.csr_matrix((np.ones(len(b), np.float32), (b, i)), shape=(len(orders), len(index)))


def fit_ease(x, least, ridge):
    kept = np.flatnonzero(np.asarray(x.sum(0)).ravel() >= least)
    gram = (x[:, kept].T @ x[:, kept]).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    place = np.full(x.shape[1], -1)
    place[kept] = np.arange(len(kept))

    def score(context):
        out = np.zeros(x.shape[1])
        known = [place[i] for i in context if place[i] >= 0]
        if known:
            out[kept] = weights[known].sum(0)
        return out

    return score


def fit_cosine(x, neighbours=50):
    counts = np.sqrt(np.asarray(x.sum(0)).ravel())
    pairs = (x.T @ x).tocsr()
    pairs.setdiag(0)
    scaled = (sp.diags(1 / counts) @ pairs @ sp.diags(1 / counts)).tocsr()
    for row in range(scaled.shape[0]):
        part = scaled.data[scaled.indptr[row]:scaled.indptr[row + 1]]
        if len(part) > neighbours:
            part[part < np.partition(part, -neighbours)[-neighbours]] = 0
    scaled.eliminate_zeros()

    def score(context):
        return np.asarray(scaled[context].sum(0)).ravel() if context else np.zeros(x.shape[1])

    return score


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=["ease", "cosine", "popular", "own"])
    for name in ("orders", "carts", "until", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--least", type=int, default=20)
    parser.add_argument("--ridge", type=float, default=200.0)
    args = parser.parse_args()
    orders, index, x = read_orders(args.orders, args.until)
    names = list(index)
    popular = np.asarray(x.sum(0)).ravel()
    begun = time.process_time()
    if args.method == "ease":
        score = fit_ease(x, args.least, args.ridge)
    elif args.method == "cosine":
        score = fit_cosine(x)
    else:
        score = lambda context: np.zeros(x.shape[1])
    history = collections.defaultdict(collections.Counter)
    until = datetime.datetime.fromisoformat(args.until)
    for r in orders:
        age = (until - datetime.datetime.fromisoformat(r["ts"])).total_seconds() / 86400
        for item in set(r["items"].split()):
            history[r["customer_id"]][index[item]] += 2 ** (-age / 90)
    print(f"fitted in {time.process_time() - begun:.1f} CPU s", file=sys.stderr)
    begun, carts = time.perf_counter(), 0
    with open(args.out, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["cart_id", "item"])
        for cart in rows(args.carts):
            carts += 1
            context = [index[i] for i in cart["context"].split() if i in index]
            # Best sellers complete the answer and break ties.
            scores = score(context) + 1e-9 * popular / popular.max()
            if args.method == "own" and cart["task"] == "next":
                for item, weight in history[cart["customer_id"]].items():
                    scores[item] += weight
            if cart["task"] != "next":
                scores[context] = -np.inf
            top = np.argpartition(-scores, 6)[:6]
            for item in top[np.argsort(-scores[top])]:
                out.writerow([cart["cart_id"], names[item]])
    print(f"{carts / (time.perf_counter() - begun):.0f} carts a second", file=sys.stderr)


if __name__ == "__main__":
    main()
