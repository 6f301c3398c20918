import random

from moonlet.cache import PAGE_SIZE, PageAllocator, PrefixTree

FULL = tuple(range(PAGE_SIZE))
OTHER = (7, *range(1, PAGE_SIZE))


def test_a_page_is_found_after_the_pages_before_it_only():
    tree = PrefixTree()
    first = tree.insert(tree.root, FULL, 10)
    second = tree.insert(first, FULL, 11)
    assert tree.child(tree.root, FULL) is first
    assert tree.child(first, FULL) is second
    assert tree.child(tree.root, OTHER) is None
    assert tree.insert(first, FULL, 12) is second
    assert second.page == 11, "the page that was there stays"


def test_the_longest_start_is_found_in_full_pages_and_tails():
    tree = PrefixTree()
    full = tree.insert(tree.root, FULL, 1)
    assert tree.insert_tail(tree.root, (0, 1, 9, 9), 2) == []
    assert tree.longest_start(tree.root, (0, 1, 9, 8)) == (next(n for n in tree.nodes() if n.is_tail), 3)
    assert tree.longest_start(tree.root, (0, 1, 2, 8)) == (full, 3)
    assert tree.longest_start(tree.root, (5,)) == (None, 0)


def test_a_tail_gives_way_to_a_longer_one_and_is_not_kept_twice():
    tree = PrefixTree()
    assert tree.insert_tail(tree.root, (1, 2), 1) == []
    assert tree.insert_tail(tree.root, (1, 2, 3), 2) == [1]
    assert tree.insert_tail(tree.root, (1, 2), 3) == [3]
    assert tree.insert_tail(tree.root, (1, 2, 3), 4) == [4]
    assert [node.page for node in tree.nodes()] == [2]
    tree.check()


def test_leaves_without_users_go_first_and_the_one_used_longest_ago_before_others():
    tree = PrefixTree()
    first = tree.insert(tree.root, FULL, 1)
    tree.use(first)
    old, new = tree.insert(first, FULL, 2), tree.insert(first, OTHER, 3)
    for node in (old, new):
        tree.use(node)
    tree.use(first)
    tree.leave(old)
    tree.leave(new)
    assert tree.evict(1) == [2]
    third = tree.insert(tree.root, OTHER, 4)
    tree.use(third)
    assert tree.evict(5) == [3, 1], "a page in use stays"
    tree.leave(third)
    assert tree.evict(5) == [4]
    assert tree.num_pages == 0


def test_the_books_balance_over_random_use():
    rng = random.Random(4)
    tree, allocator = PrefixTree(), PageAllocator(40)
    held = []
    for _ in range(2000):
        action = rng.random()
        if action < 0.5:
            node = tree.root
            for _ in range(rng.randint(1, 5)):
                ids = rng.choice((FULL, OTHER))
                if not allocator.can_allocate(1):
                    allocator.free(tree.evict(1))
                if not allocator.can_allocate(1):
                    break
                (page,) = allocator.allocate(1)
                node = tree.insert(node, ids, page)
                if node.page != page:
                    allocator.free([page])
                tree.use(node)
            held.append(node)
        elif action < 0.6:
            if allocator.can_allocate(1):
                tail = tuple(rng.choices(range(3), k=rng.randint(1, 10)))
                parent = rng.choice([tree.root, *(node for node in tree.nodes() if not node.is_tail)])
                allocator.free(tree.insert_tail(parent, tail, allocator.allocate(1)[0]))
        elif held:
            tree.leave(held.pop(rng.randrange(len(held))))
        tree.check()
        allocator.check()
        assert allocator.num_held == tree.num_pages
    for node in held:
        tree.leave(node)
    assert tree.num_used_pages == 0
    allocator.free(tree.clear())
    assert allocator.num_held == tree.num_pages == 0
