/** A board's sort, remembered between visits. */

import { shallowRef, type ShallowRef } from 'vue'
import { recall, remember } from '../shell/storage'
import { BY_RANK, type Sort } from './arrangement'
import type { BoardSpec, Column } from './columns'

export function useSort(board: BoardSpec): { sort: ShallowRef<Sort>; toggle: (column: Column) => void } {
  const name = `sort.${board.id}`
  const sort = shallowRef(readSort(recall(name), board))
  const toggle = (column: Column): void => {
    sort.value = nextSort(sort.value, column)
    remember(name, JSON.stringify(sort.value))
  }
  return { sort, toggle }
}

/** Numbers begin with the largest, names and ranks with the first; again turns it round. */
export function nextSort(sort: Sort, { field, kind }: Column): Sort {
  if (sort.field === field) return { field, descending: !sort.descending }
  return { field, descending: kind !== 'rank' && kind !== 'symbol' }
}

/** A stored sort, unless it names a column that the board does not have. */
export function readSort(stored: string | null, board: BoardSpec): Sort {
  try {
    const { field, descending } = JSON.parse(stored ?? '{}') as Partial<Sort>
    const isKnown = board.columns.some((column) => column.field === field)
    return isKnown && field ? { field, descending: descending === true } : BY_RANK
  } catch {
    return BY_RANK // something else wrote there
  }
}
