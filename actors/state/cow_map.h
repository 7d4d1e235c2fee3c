// An ordered map whose copy costs nothing: a B+tree with nodes that copies share. A node that is not shared is changed
// in place; of a shared one, the changing map makes a copy of its own first. So a copy stays as it was, at the price of
// the nodes that change afterwards.
//
// Keys order by Less, which may compare with other types than Key too. Keys and values are default-constructible and
// copyable. Each node knows how many entries are below it and what they weigh together (Weight, of a value), so that a
// part of a map can be taken out at the price of finding its two ends. Reference counts are plain numbers: all copies
// of a map belong to one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "runtime/check.h"
#include "runtime/planted.h"

namespace sandstore {

struct NoWeight {
    template <typename Value>
    uint64_t operator()(const Value&) const {
        return 0;
    }
};

template <typename Key, typename Value, typename Less = std::less<>, typename Weight = NoWeight>
class CowMap {
    // Measured (bench/state_bench.cc): larger leaves make changes slower, smaller ones take more memory.
    static constexpr size_t kLeafBytes = 2048;
    static constexpr size_t kLeafEntries = std::clamp<size_t>(kLeafBytes / (sizeof(Key) + sizeof(Value)), 8, 64);
    static constexpr size_t kChildren = 32;
    static constexpr size_t kDepthMax = 24;

    struct Totals {
        uint64_t entries = 0;
        uint64_t weight = 0;
    };
    struct Node {
        uint32_t references = 1;
        uint16_t count = 0;
        bool is_leaf;
        Totals totals;  // Of everything below.
        explicit Node(bool leaf) : is_leaf(leaf) {}
    };
    struct Leaf : Node {
        Leaf() : Node(true) {}
        std::array<Key, kLeafEntries> keys;
        std::array<Value, kLeafEntries> values;
    };
    struct Inner : Node {
        Inner() : Node(false) {}
        std::array<Key, kChildren> keys;  // keys[i]: nothing below children[i] is less; keys[0] is not used.
        std::array<Node*, kChildren> children;
    };

 public:
    // A place in a map. Good until that map changes; changes to its copies do not matter.
    class Cursor {
     public:
        bool valid() const { return depth_ > 0 && leaf().second < leaf().first->count; }
        const Key& key() const { return as_leaf(leaf().first)->keys[leaf().second]; }
        const Value& value() const { return as_leaf(leaf().first)->values[leaf().second]; }
        void next() {
            ++path_[depth_ - 1].second;
            to_next_leaf();
        }
        // Also from behind the last one. At the first one: invalid, and of no more use.
        void previous() {
            size_t level = depth_;
            while (level > 0 && path_[level - 1].second == 0) --level;
            if (level == 0) {
                depth_ = 0;
                return;
            }
            --path_[level - 1].second;
            if (level == depth_) return;
            depth_ = level;
            descend([](const Node* node) { return node->count - 1; });
        }

     private:
        friend class CowMap;
        using Step = std::pair<const Node*, size_t>;

        const Step& leaf() const { return path_[depth_ - 1]; }
        void push(const Node* node, size_t index) {
            SANDSTORE_CHECK(depth_ < kDepthMax, "a map this deep");
            path_[depth_++] = {node, index};
        }
        // From the last step, which is an inner node, down to a leaf.
        template <typename Choose>
        void descend(Choose choose) {
            while (!leaf().first->is_leaf) {
                const Node* child = as_inner(leaf().first)->children[leaf().second];
                push(child, static_cast<size_t>(choose(child)));
            }
        }
        // Behind the last entry of a leaf: to the first one of the next, if there is one.
        void to_next_leaf() {
            if (depth_ == 0 || leaf().second < leaf().first->count) return;
            size_t level = depth_ - 1;
            while (level > 0 && path_[level - 1].second + 1 == path_[level - 1].first->count) --level;
            if (level == 0) return;
            ++path_[level - 1].second;
            depth_ = level;
            descend([](const Node*) { return 0; });
        }

        std::array<Step, kDepthMax> path_;
        size_t depth_ = 0;
    };

    CowMap() = default;
    CowMap(const CowMap& other) : root_(other.root_) {
        if (root_ != nullptr) ++root_->references;
    }
    CowMap(CowMap&& other) noexcept : root_(std::exchange(other.root_, nullptr)) {}
    CowMap& operator=(CowMap other) noexcept {
        std::swap(root_, other.root_);
        return *this;
    }
    ~CowMap() {
        if (root_ != nullptr) drop(root_);
    }

    size_t size() const { return root_ == nullptr ? 0 : root_->totals.entries; }
    bool empty() const { return root_ == nullptr; }
    uint64_t weight() const { return root_ == nullptr ? 0 : root_->totals.weight; }  // Of all values together.

    template <typename Sought>
    const Value* find(const Sought& key) const {
        if (root_ == nullptr) return nullptr;
        const Node* node = root_;
        while (!node->is_leaf) node = as_inner(node)->children[child_index(as_inner(node), key)];
        const Leaf* leaf = as_leaf(node);
        const size_t at = entry_index(leaf, key);
        return at < leaf->count && !Less()(key, leaf->keys[at]) ? &leaf->values[at] : nullptr;
    }
    // For changing the value in place, but not its weight; good until the next change or copy of the map.
    template <typename Sought>
    Value* edit(const Sought& key) {
        if (root_ == nullptr) return nullptr;
        Node** slot = &root_;
        while (true) {
            if (!((*slot)->is_leaf && planted("apply-after-freeze-leaks"))) unshare(slot);
            if ((*slot)->is_leaf) break;
            Inner* inner = as_inner(*slot);
            slot = &inner->children[child_index(inner, key)];
        }
        Leaf* leaf = as_leaf(*slot);
        const size_t at = entry_index(leaf, key);
        return at < leaf->count && !Less()(key, leaf->keys[at]) ? &leaf->values[at] : nullptr;
    }

    Cursor begin() const {
        return descend([](const Node*) { return 0; });
    }
    Cursor last() const {
        return descend([](const Node* node) { return node->count - 1; });
    }
    template <typename Sought>
    Cursor lower_bound(const Sought& key) const {
        Cursor cursor = descend([&](const Node* node) {
            return node->is_leaf ? entry_index(as_leaf(node), key) : child_index(as_inner(node), key);
        });
        cursor.to_next_leaf();
        return cursor;
    }
    template <typename Sought>
    Cursor upper_bound(const Sought& key) const {
        Cursor cursor = lower_bound(key);
        if (cursor.valid() && !Less()(key, cursor.key())) cursor.next();
        return cursor;
    }

    // False, and nothing happens, when the key is there already.
    bool insert(Key key, Value value) {
        if (root_ == nullptr) root_ = new Leaf;
        unshare(&root_);
        Sibling made;
        if (!insert_below(root_, &key, &value, &made)) return false;
        if (made.node == nullptr) return true;
        Inner* root = new Inner;
        root->count = 2;
        root->children[0] = root_;
        root->children[1] = made.node;
        root->keys[1] = std::move(made.key);
        recount(root);
        root_ = root;
        return true;
    }

    // False when the key is not there.
    template <typename Sought>
    bool erase(const Sought& key) {
        const Value* value = find(key);
        if (value == nullptr) return false;
        unshare(&root_);
        erase_below(root_, key, Weight()(*value));
        lower(&root_);
        return true;
    }

    // Takes the entries from `begin` up to, but without, `end` out: as a map of their own. The price is that of finding
    // the two ends, however many lie between them.
    template <typename Begin, typename End>
    CowMap extract(const Begin& begin, const End& end) {
        CowMap taken;
        if (root_ == nullptr || !Less()(begin, end)) return taken;
        unshare(&root_);
        taken.root_ = extract_below(root_, begin, end);
        lower(&root_);
        lower(&taken.root_);
        return taken;
    }

    // Takes the map apart in portions: lets go of at most `*nodes` nodes, and counts them down. True when nothing is
    // left. The map must not be used otherwise from the first call on.
    bool discard(size_t* nodes) {
        for (; root_ != nullptr && *nodes > 0; --*nodes) {
            if (shed(root_)) root_ = nullptr;
        }
        return root_ == nullptr;
    }

 private:
    // A node that split off, and what its keys begin with.
    struct Sibling {
        Node* node = nullptr;
        Key key{};
    };
    static constexpr size_t kMergedShare = 4;  // A node less than 1/4 full looks for a neighbour to merge with.

    static Leaf* as_leaf(Node* node) { return static_cast<Leaf*>(node); }
    static const Leaf* as_leaf(const Node* node) { return static_cast<const Leaf*>(node); }
    static Inner* as_inner(Node* node) { return static_cast<Inner*>(node); }
    static const Inner* as_inner(const Node* node) { return static_cast<const Inner*>(node); }
    static size_t capacity(const Node* node) { return node->is_leaf ? kLeafEntries : kChildren; }

    // The first entry not less than the key.
    template <typename Sought>
    static size_t entry_index(const Leaf* leaf, const Sought& key) {
        const auto end = leaf->keys.begin() + leaf->count;
        return static_cast<size_t>(std::lower_bound(leaf->keys.begin(), end, key, Less()) - leaf->keys.begin());
    }
    template <typename Sought>
    static size_t child_index(const Inner* inner, const Sought& key) {
        const auto end = inner->keys.begin() + inner->count;
        return static_cast<size_t>(std::upper_bound(inner->keys.begin() + 1, end, key, Less()) - inner->keys.begin()) -
               1;
    }

    template <typename Choose>
    Cursor descend(Choose choose) const {
        Cursor cursor;
        if (root_ == nullptr) return cursor;
        cursor.push(root_, static_cast<size_t>(choose(root_)));
        cursor.descend(choose);
        return cursor;
    }

    // --- Ownership --------------------------------------------------------------------------------------------------
    static void drop(Node* node) {
        if (--node->references > 0) return;
        if (node->is_leaf) {
            delete as_leaf(node);
            return;
        }
        for (size_t i = 0; i < node->count; ++i) drop(as_inner(node)->children[i]);
        delete as_inner(node);
    }
    // Lets go of one node at or below this one; true when it was the last.
    static bool shed(Node* node) {
        if (node->references > 1 || node->is_leaf) {
            drop(node);
            return true;
        }
        Inner* inner = as_inner(node);
        if (shed(inner->children[inner->count - 1])) --inner->count;
        if (inner->count > 0) return false;
        delete inner;
        return true;
    }
    static void unshare(Node** slot) {
        Node* shared = *slot;
        if (shared->references == 1) return;
        if (shared->is_leaf) {
            Leaf* copy = new Leaf;
            copy->count = shared->count;
            copy->totals = shared->totals;
            std::copy_n(as_leaf(shared)->keys.begin(), shared->count, copy->keys.begin());
            std::copy_n(as_leaf(shared)->values.begin(), shared->count, copy->values.begin());
            *slot = copy;
        } else {
            Inner* copy = new Inner;
            copy->count = shared->count;
            copy->totals = shared->totals;
            std::copy_n(as_inner(shared)->keys.begin() + 1, shared->count - 1, copy->keys.begin() + 1);
            std::copy_n(as_inner(shared)->children.begin(), shared->count, copy->children.begin());
            for (size_t i = 0; i < copy->count; ++i) ++copy->children[i]->references;
            *slot = copy;
        }
        --shared->references;
    }

    // --- Totals
    static void add(Node* node, const Totals& more) {
        node->totals.entries += more.entries;
        node->totals.weight += more.weight;
    }
    static void recount(Leaf* leaf) {
        leaf->totals = {leaf->count, 0};
        for (size_t i = 0; i < leaf->count; ++i) leaf->totals.weight += Weight()(leaf->values[i]);
    }
    static void recount(Inner* inner) {
        inner->totals = {};
        for (size_t i = 0; i < inner->count; ++i) add(inner, inner->children[i]->totals);
    }

    // --- Changes: of nodes that are not shared
    template <typename Items>
    static void open_gap(Items& items, size_t at, size_t count) {
        std::move_backward(items.begin() + at, items.begin() + count, items.begin() + count + 1);
    }
    // The last place is left as if never used: keys and values may hold memory.
    template <typename Items>
    static void close_gap(Items& items, size_t at, size_t count) {
        std::move(items.begin() + at + 1, items.begin() + count, items.begin() + at);
        items[count - 1] = typename Items::value_type{};
    }
    template <typename Items>
    static void move_over(Items& from, size_t begin, size_t end, Items& to, size_t at) {
        for (size_t i = begin; i < end; ++i, ++at) to[at] = std::exchange(from[i], typename Items::value_type{});
    }

    static void put(Leaf* leaf, size_t at, Key* key, Value* value) {
        add(leaf, {1, Weight()(*value)});
        open_gap(leaf->keys, at, leaf->count);
        open_gap(leaf->values, at, leaf->count);
        leaf->keys[at] = std::move(*key);
        leaf->values[at] = std::move(*value);
        ++leaf->count;
    }
    static void put(Inner* inner, size_t at, Sibling* child) {
        open_gap(inner->keys, at, inner->count);
        open_gap(inner->children, at, inner->count);
        inner->keys[at] = std::move(child->key);
        inner->children[at] = child->node;
        ++inner->count;
    }

    // What is added behind the end of a full node begins a new one, so that rising keys leave full nodes behind.
    static bool insert_into_leaf(Leaf* leaf, Key* key, Value* value, Sibling* made) {
        const size_t at = entry_index(leaf, *key);
        if (at < leaf->count && !Less()(*key, leaf->keys[at])) return false;
        if (leaf->count < kLeafEntries) {
            put(leaf, at, key, value);
            return true;
        }
        Leaf* right = new Leaf;
        const size_t kept = at == kLeafEntries ? kLeafEntries : kLeafEntries / 2;
        move_over(leaf->keys, kept, kLeafEntries, right->keys, 0);
        move_over(leaf->values, kept, kLeafEntries, right->values, 0);
        right->count = static_cast<uint16_t>(kLeafEntries - kept);
        leaf->count = static_cast<uint16_t>(kept);
        recount(right);
        recount(leaf);
        if (at > kept || kept == kLeafEntries) {
            put(right, at - kept, key, value);
        } else {
            put(leaf, at, key, value);
        }
        *made = {right, right->keys[0]};
        return true;
    }

    // A node that split off below: `inner` has counted what is in it already.
    static void insert_child(Inner* inner, size_t at, Sibling* child, Sibling* made) {
        if (inner->count < kChildren) return put(inner, at, child);
        Inner* right = new Inner;
        const size_t kept = at == kChildren ? kChildren : kChildren / 2;
        if (kept == kChildren) {
            right->count = 1;
            right->children[0] = child->node;
            recount(right);
            recount(inner);
            *made = {right, std::move(child->key)};
            return;
        }
        made->node = right;
        made->key = inner->keys[kept];
        move_over(inner->keys, kept, kChildren, right->keys, 0);
        move_over(inner->children, kept, kChildren, right->children, 0);
        right->count = static_cast<uint16_t>(kChildren - kept);
        inner->count = static_cast<uint16_t>(kept);
        if (at > kept) {
            put(right, at - kept, child);
        } else {
            put(inner, at, child);
        }
        recount(right);
        recount(inner);
    }

    static bool insert_below(Node* node, Key* key, Value* value, Sibling* made) {
        if (node->is_leaf) return insert_into_leaf(as_leaf(node), key, value, made);
        Inner* inner = as_inner(node);
        const Totals one{1, Weight()(*value)};
        const size_t at = child_index(inner, *key);
        unshare(&inner->children[at]);
        if (at + 1 < inner->count && goes_to_the_next(inner->children[at], inner->children[at + 1], *key)) {
            unshare(&inner->children[at + 1]);
            inner->keys[at + 1] = *key;
            put(as_leaf(inner->children[at + 1]), 0, key, value);
            add(inner, one);
            return true;
        }
        Sibling child;
        if (!insert_below(inner->children[at], key, value, &child)) return false;
        add(inner, one);
        if (child.node != nullptr) insert_child(inner, at + 1, &child, made);
        return true;
    }
    // Behind the end of a full leaf, when the next one has room: otherwise falling keys would make leaves of one entry.
    static bool goes_to_the_next(const Node* node, const Node* next, const Key& key) {
        return node->is_leaf && node->count == kLeafEntries && next->count < kLeafEntries &&
               Less()(as_leaf(node)->keys[kLeafEntries - 1], key);
    }

    template <typename Sought>
    static void erase_below(Node* node, const Sought& key, uint64_t weight) {
        --node->totals.entries;
        node->totals.weight -= weight;
        if (node->is_leaf) {
            Leaf* leaf = as_leaf(node);
            const size_t at = entry_index(leaf, key);
            close_gap(leaf->keys, at, leaf->count);
            close_gap(leaf->values, at, leaf->count);
            --leaf->count;
            return;
        }
        Inner* inner = as_inner(node);
        const size_t at = child_index(inner, key);
        unshare(&inner->children[at]);
        erase_below(inner->children[at], key, weight);
        mend(inner, at);
    }

    // What is taken out of a node, as one of the same height; null when that is nothing. The node may be left empty.
    template <typename Begin, typename End>
    static Node* extract_below(Node* node, const Begin& begin, const End& end) {
        return node->is_leaf ? extract_from(as_leaf(node), begin, end) : extract_from(as_inner(node), begin, end);
    }
    template <typename Begin, typename End>
    static Node* extract_from(Leaf* leaf, const Begin& begin, const End& end) {
        const size_t first = entry_index(leaf, begin);
        const size_t last = entry_index(leaf, end);
        if (first == last) return nullptr;
        Leaf* taken = new Leaf;
        move_over(leaf->keys, first, last, taken->keys, 0);
        move_over(leaf->values, first, last, taken->values, 0);
        move_over(leaf->keys, last, leaf->count, leaf->keys, first);
        move_over(leaf->values, last, leaf->count, leaf->values, first);
        taken->count = static_cast<uint16_t>(last - first);
        leaf->count = static_cast<uint16_t>(leaf->count - taken->count);
        recount(taken);
        recount(leaf);
        return taken;
    }
    // Of the children at both ends a part, those between whole.
    template <typename Begin, typename End>
    static Node* extract_from(Inner* inner, const Begin& begin, const End& end) {
        const size_t first = child_index(inner, begin);
        const size_t last = child_index(inner, end);
        Inner* taken = new Inner;
        size_t kept = first;
        for (size_t i = first; i < inner->count; ++i) {
            Node* rest = inner->children[i];
            Node* part = nullptr;
            if (i == first || i == last) {
                unshare(&rest);
                part = extract_below(rest, begin, end);
                if (rest->count == 0) drop(std::exchange(rest, nullptr));
            } else if (i < last) {
                part = std::exchange(rest, nullptr);
            }
            if (part != nullptr) {
                taken->keys[taken->count] = inner->keys[i];
                taken->children[taken->count++] = part;
            }
            if (rest == nullptr) continue;
            if (kept < i) inner->keys[kept] = std::move(inner->keys[i]);
            inner->children[kept++] = rest;
        }
        std::fill(inner->keys.begin() + kept, inner->keys.begin() + inner->count, Key{});
        inner->count = static_cast<uint16_t>(kept);
        recount(inner);
        recount(taken);
        // The children at the ends have become smaller.
        if (first + 1 < inner->count) mend(inner, first + 1);
        if (first < inner->count) mend(inner, first);
        if (taken->count > 1) mend(taken, taken->count - 1u);
        if (taken->count > 0) mend(taken, 0);
        if (taken->count > 0) return taken;
        delete taken;
        return nullptr;
    }

    // A child that has become small finds a neighbour to merge with, an empty one goes.
    static void mend(Inner* inner, size_t at) {
        const Node* child = inner->children[at];
        if (child->count >= capacity(child) / kMergedShare) return;
        if (child->count == 0) {
            drop(inner->children[at]);
            remove_child(inner, at);
        } else if (at + 1 < inner->count) {
            merge(inner, at);
        } else if (at > 0) {
            merge(inner, at - 1);
        }
    }
    // A root with one child gives way to it, an empty one to nothing. Not shared, as nodes are that were just changed.
    static void lower(Node** root) {
        while (*root != nullptr && !(*root)->is_leaf && (*root)->count == 1) {
            Inner* old = as_inner(*root);
            *root = old->children[0];
            old->count = 0;  // Its only child has moved up.
            drop(old);
            unshare(root);
        }
        if (*root == nullptr || (*root)->count > 0) return;
        drop(*root);
        *root = nullptr;
    }
    static void remove_child(Inner* inner, size_t at) {
        close_gap(inner->keys, at, inner->count);
        close_gap(inner->children, at, inner->count);
        --inner->count;
    }
    // Puts the children at `at` and at + 1 together, if what comes out is not nearly full again.
    static void merge(Inner* inner, size_t at) {
        const Node* left = inner->children[at];
        const Node* right = inner->children[at + 1];
        if (left->count + right->count > capacity(left) / 4 * 3) return;
        unshare(&inner->children[at]);
        unshare(&inner->children[at + 1]);
        Node* into = inner->children[at];
        Node* from = inner->children[at + 1];
        if (into->is_leaf) {
            move_over(as_leaf(from)->keys, 0, from->count, as_leaf(into)->keys, into->count);
            move_over(as_leaf(from)->values, 0, from->count, as_leaf(into)->values, into->count);
        } else {
            as_inner(from)->keys[0] = inner->keys[at + 1];
            move_over(as_inner(from)->keys, 0, from->count, as_inner(into)->keys, into->count);
            move_over(as_inner(from)->children, 0, from->count, as_inner(into)->children, into->count);
        }
        into->count = static_cast<uint16_t>(into->count + from->count);
        add(into, from->totals);
        from->count = 0;
        drop(from);
        remove_child(inner, at + 1);
    }

    Node* root_ = nullptr;
};

}  // namespace sandstore
