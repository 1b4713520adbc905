// SPDX-License-Identifier: BSD-3-Clause

#include "conntrack/wheel.h"

void wheel_init(struct wheel *wheel, struct wheel_link *links, uint32_t now_s)
{
	wheel->links = links;
	wheel->now_s = now_s;
	for (uint32_t i = 0; i < WHEEL_SLOTS; i++)
		wheel->heads[i] = WHEEL_NONE;
}

static bool earlier(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

void wheel_add(struct wheel *wheel, uint32_t index, uint32_t when_s)
{
	struct wheel_link *link = &wheel->links[index];
	uint32_t next_s = wheel->now_s + 1, last_s = wheel->now_s + WHEEL_SLOTS - 1;

	if (earlier(when_s, next_s))
		when_s = next_s;
	else if (earlier(last_s, when_s))
		when_s = last_s;
	uint32_t *head = &wheel->heads[when_s % WHEEL_SLOTS];
	*link = (struct wheel_link){.next = *head, .previous = WHEEL_NONE, .due_s = when_s};
	if (*head != WHEEL_NONE)
		wheel->links[*head].previous = index;
	*head = index;
}

void wheel_remove(struct wheel *wheel, uint32_t index)
{
	struct wheel_link *link = &wheel->links[index];

	if (link->next != WHEEL_NONE)
		wheel->links[link->next].previous = link->previous;
	if (link->previous != WHEEL_NONE)
		wheel->links[link->previous].next = link->next;
	else
		wheel->heads[link->due_s % WHEEL_SLOTS] = link->next;
}

void wheel_hasten(struct wheel *wheel, uint32_t index, uint32_t when_s)
{
	if (!earlier(when_s, wheel->links[index].due_s))
		return;
	wheel_remove(wheel, index);
	wheel_add(wheel, index, when_s);
}

// Slot `now_s` is emptied before the hand goes on; an element is never added to it, as the next second is
// the soonest, nor from the other side, as the last slot is one before it.
uint32_t wheel_turn(struct wheel *wheel, uint32_t now_s)
{
	for (uint32_t round = 0; round <= WHEEL_SLOTS; round++) {
		uint32_t index = wheel->heads[wheel->now_s % WHEEL_SLOTS];

		if (index != WHEEL_NONE) {
			wheel_remove(wheel, index);
			return index;
		}
		if (!earlier(wheel->now_s, now_s))
			return WHEEL_NONE;
		wheel->now_s++;
	}
	// Slept longer than the wheel is round: all has been looked at.
	wheel->now_s = now_s;
	return WHEEL_NONE;
}
